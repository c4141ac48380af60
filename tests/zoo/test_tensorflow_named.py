"""TensorFlow checkpoints: every way to name one."""

import hashlib
from pathlib import Path

import bundle
import numpy as np
import pytest
import torch
from tensorflows import CIFAR, NARROW, PER_IMAGE, SMALL, distance, narrow, packed

from robeval.errors import UserError
from robeval.values.card import Checkpoint, ModelCard
from robeval.zoo import bundles, cards, checkpoints
from robeval.zoo.formats import tensorflow_saved
from robeval.zoo.load import load_model


@pytest.mark.parametrize("end", ["", ".index", ".data-00000-of-00001", ".meta"])
def test_a_prefix_or_any_file_names_it(tmp_path, end):
    prefix = bundle.write(tmp_path / "net-1.2-70", SMALL)
    (tmp_path / "net-1.2-70.meta").write_bytes(b"never read")
    given = prefix.with_name(prefix.name + end)
    weights = checkpoints.read(given)
    assert set(weights) == set(SMALL)
    assert torch.equal(weights["a/DW"], torch.arange(6.0).reshape(2, 3).T)
    assert weights["b"].dtype == torch.float64
    assert checkpoints.locate(ModelCard("n", "N", "mnist", NARROW), given) == tmp_path / "net-1.2-70.index"


def test_a_folder_names_its_only_or_its_latest_one(tmp_path):
    first = bundle.write(tmp_path / "checkpoint-1", SMALL)
    assert bundles.index(tmp_path) == Path(f"{first}.index")
    second = bundle.write(tmp_path / "checkpoint-2", SMALL)
    with pytest.raises(UserError, match="this holds 2 TensorFlow checkpoints: checkpoint-1, checkpoint-2"):
        bundles.index(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "C:\\\\runs\\\\checkpoint-1"\n')
    assert bundles.index(tmp_path) == Path(f"{first}.index")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/../checkpoint-2"\nall_model: "x"\n')
    assert bundles.index(tmp_path) == bundles.index(tmp_path / "checkpoint") == Path(f"{second}.index")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone"\n')
    with pytest.raises(UserError, match="this holds 2"):
        bundles.index(tmp_path)


def test_a_card_may_name_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_CACHE", str(tmp_path))
    prefix = bundle.write(tmp_path / "checkpoints" / "bat_rmcla_eps4" / "checkpoint-200", SMALL)
    assert checkpoints.locate(cards.load("bat_rmcla_eps4"), None) == Path(f"{prefix}.index")


def test_other_files_called_checkpoint_are_themselves(tmp_path):
    bundle.write(tmp_path / "checkpoint-1", SMALL)
    torch.save({"w": torch.ones(1)}, tmp_path / "checkpoint")
    assert checkpoints.read(tmp_path / "checkpoint")["w"] == 1


def test_two_data_files_of_tensorflow(saved):
    weights = checkpoints.read(saved["two_data_files"])
    assert torch.equal(weights["a"], torch.arange(6.0).reshape(2, 3).T)
    assert torch.equal(weights["b"], torch.arange(6.0).reshape(2, 3).T + 10)


def test_the_checksum_of_a_checkpoint_is_that_of_its_files_in_a_row(saved, tmp_path):
    files = sorted(saved["two_data_files"].iterdir(), key=lambda path: (path.suffix != ".index", path.name))
    assert [path.suffix for path in files] == [".index", ".data-00000-of-00002", ".data-00001-of-00002"]
    expected = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert checkpoints.sha256(bundles.index(saved["two_data_files"])) == expected
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    assert checkpoints.sha256(path) == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("inside", ["models/secret/", "", "../../up/", "/"])
def test_an_archive_is_read_as_it_is(saved, tmp_path, inside):
    path = packed(saved["madry_cifar10"], tmp_path / "secret.zip", inside)
    model = narrow(path, PER_IMAGE)
    assert distance(model, "madry_cifar10.npz", "standardised") < 1e-5
    assert checkpoints.kind(path) == tensorflow_saved.NAME
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_of_several(tmp_path):
    for step in (1, 2):
        bundle.write(tmp_path / "in" / f"checkpoint-{step}", SMALL | {"c": np.array(step)})
    with pytest.raises(UserError, match="this holds 2 TensorFlow checkpoints: m/checkpoint-1, m/checkpoint-2"):
        checkpoints.read(packed(tmp_path / "in", tmp_path / "a.zip", "m/"))
    (tmp_path / "in" / "checkpoint").write_text('model_checkpoint_path: "checkpoint-1"')
    assert checkpoints.read(packed(tmp_path / "in", tmp_path / "b.zip", "m/"))["c"] == 1


def test_the_checksum_of_an_archive_says_nothing_of_what_was_unpacked_from_it(saved, tmp_path):
    named = Checkpoint("n.zip", "0" * 64)
    card = ModelCard("n", "N", "cifar10", NARROW, checkpoint=named)
    assert "names no sha256" in load_model(card, CIFAR, 10, saved["madry_cifar10"]).notes[1]
    with pytest.raises(UserError, match="the sha256 of the file is"):
        load_model(card, CIFAR, 10, packed(saved["madry_cifar10"], tmp_path / "n.zip"))
    kept = ModelCard("n", "N", "cifar10", NARROW, checkpoint=Checkpoint("folder", "0" * 64))
    with pytest.raises(UserError, match="the sha256 of the file is"):
        load_model(kept, CIFAR, 10, saved["madry_cifar10"])
