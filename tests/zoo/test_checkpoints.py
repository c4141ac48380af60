"""Files of weights: found, checked, read, and refused in plain words."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from robeval.errors import UserError
from robeval.values.card import Checkpoint, ModelCard, Network
from robeval.zoo import checkpoints

WEIGHTS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.zeros(2)}


def saved(value, legacy=False):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def card(tmp_path, **checkpoint):
    folder = tmp_path / "zoo" / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    named = Checkpoint(**({"file": "net.pt"} | checkpoint))
    return ModelCard("net", "Net", "digits", Network("small_cnn"), checkpoint=named, where=str(folder / "net.toml"))


def raised(work, *arguments):
    with pytest.raises(UserError) as caught:
        work(*arguments)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert caught.value.fix
    assert len(str(caught.value)) < 700
    return str(caught.value)


# Finding


def test_where_weights_are_looked_for(tmp_path):
    places = [Path(os.environ["ROBEVAL_CACHE"]) / "checkpoints", tmp_path / "zoo/cards", tmp_path / "zoo/checkpoints"]
    for place in places:  # each one comes before those already there
        place.mkdir(parents=True, exist_ok=True)
        (place / "net.pt").touch()
        assert checkpoints.locate(card(tmp_path), None) == place / "net.pt"
    own = tmp_path / "own.pt"
    own.touch()
    assert checkpoints.locate(card(tmp_path), own) == own


def test_a_given_file_that_is_not_there(tmp_path):
    path = tmp_path / "own.pt"
    assert f"--checkpoint: there is no file {path}" in raised(checkpoints.locate, card(tmp_path), path)
    assert "is a folder" in raised(checkpoints.locate, card(tmp_path), tmp_path)


def test_weights_that_are_nowhere(tmp_path):
    net = card(tmp_path, source="https://example.org/net")
    message = raised(checkpoints.locate, net, None)
    cache = Path(os.environ["ROBEVAL_CACHE"]) / "checkpoints"
    assert "its file of weights, net.pt, is in none of: " in message
    assert f"Get it from https://example.org/net and put it into {cache}" in message
    assert "--checkpoint FILE" in message
    assert "robeval train" not in message


def test_weights_that_can_be_trained(tmp_path):
    net = card(tmp_path)
    trained = ModelCard(
        net.id, net.title, net.dataset, net.network, checkpoint=net.checkpoint, training={"method": "trades"}
    )
    assert "Run `robeval train net`" in raised(checkpoints.locate, trained, None)
    unnamed = ModelCard(net.id, net.title, net.dataset, net.network, training={"method": "trades"})
    message = raised(checkpoints.locate, unnamed, None)
    assert "names no file of weights" in message
    assert "`robeval train net`" in message


# Checking


def test_the_checksum_has_to_be_the_cards(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"weights")
    found = checkpoints.sha256(path)
    assert found == hashlib.sha256(b"weights").hexdigest()
    assert checkpoints.verify(card(tmp_path), path) == found
    assert checkpoints.verify(card(tmp_path, sha256=found), path) == found
    message = raised(checkpoints.verify, card(tmp_path, sha256="0" * 64), path)
    for part in (str(path), found, "0" * 64, "net.toml", "copy the card"):
        assert part in message


# Reading


@pytest.mark.parametrize(
    "content",
    [
        saved(WEIGHTS),
        saved(WEIGHTS, legacy=True),
        saved({"state_dict": {f"module.{name}": value for name, value in WEIGHTS.items()}, "epoch": 3}),
        safetensors.torch.save(WEIGHTS),
    ],
)
@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_what_can_be_read_is_told_by_content(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    weights = checkpoints.read(path)
    assert set(weights) == set(WEIGHTS)
    assert all(torch.equal(weights[key], WEIGHTS[key]) for key in WEIGHTS)


def test_a_file_of_before_2020_from_a_gpu_is_read_without_one(tmp_path):
    path = tmp_path / "net.pt"
    content = saved(WEIGHTS, legacy=True)
    cpu, gpu = (b"X" + len(name).to_bytes(4, "little") + name for name in (b"cpu", b"cuda:0"))
    assert cpu in content
    path.write_bytes(content.replace(cpu, gpu))
    weights = checkpoints.read(path)
    assert all(torch.equal(weights[key], WEIGHTS[key]) for key in WEIGHTS)
    assert {tensor.device.type for tensor in weights.values()} == {"cpu"}


def header(declared, data=b""):
    text = json.dumps(declared).encode()
    return len(text).to_bytes(8, "little") + text + data


def bomb():
    """A torch file whose tensor unpacks to 64 MiB of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(WEIGHTS))) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(1 << 26) if name.endswith("data/0") else old.read(name))
    return file.getvalue()


def packed(entries):
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


# A pickle of dill, which makes types by a function of its own.
DILL = b"\x80\x04}X\x05\x00\x00\x00modelcdill._dill\n_load_type\nX\x03\x00\x00\x00int\x85Rs."
HUGE = saved(WEIGHTS, legacy=True).replace(b"K\x06", b"J\xff\xff\xff\x7f")  # 6 numbers become 2 ** 31 - 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"<!DOCTYPE html><html>", "this is a web page, not weights"),
        (b"\xef\xbb\xbf\n  <html>", "this is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "git-lfs pointer"),
        (saved(WEIGHTS)[:-10], "is cut or damaged"),
        (saved(WEIGHTS)[:40], "is cut or damaged"),
        (saved(WEIGHTS, legacy=True)[:-10], "is cut or damaged"),
        (saved(WEIGHTS, legacy=True)[:40], "is cut or damaged: it ends too early"),
        (safetensors.torch.save(WEIGHTS)[:-10], "is cut or damaged"),
        (safetensors.torch.save(WEIGHTS)[:40], "is cut or damaged"),
        ((2**31).to_bytes(8, "little") + b"{}", "is cut or damaged"),
        (header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, bytes(8)), "is cut or damaged"),
        (header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}, bytes(8)), "is cut or damaged"),
        (HUGE, "declares tensors that it does not hold"),
        (bomb(), "its entries declare 6710"),
        (pickle.dumps({"a": np.zeros(3)}), "holds more than tensors and plain values"),
        (saved({"a": np.zeros(3)}), "holds more than tensors and plain values"),
        (saved(torch.nn.Linear(2, 2)), "(torch.nn.modules.linear.Linear)"),
        (
            saved({"model": WEIGHTS, "optimizer": torch.optim.SGD(torch.nn.Linear(2, 2).parameters())}),
            "(torch.optim.sgd.SGD)",
        ),
        (DILL, "(dill._dill._load_type)"),
        (packed({"readme.txt": b"weights"}), "this is a zip archive, but torch.save did not write it"),
        (b"GGUF" + bytes(100), "this is no file of weights that robeval reads (Keras weights, HDF5"),
        (saved({"state": {}, "param_groups": []}), "it is the state of an optimiser"),
        (saved({}), "it holds nothing"),
        (saved(torch.zeros(3)), "it holds one Tensor"),
        (saved([WEIGHTS, WEIGHTS]), "a list of 2 networks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused(tmp_path, content, expected):
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    message = raised(checkpoints.read, path)
    assert message.startswith(f"{path}: ")
    assert expected in message


def test_plain_strangers_are_named_before_the_checksum(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"<html>")
    assert "web page" in raised(checkpoints.verify, card(tmp_path, sha256="0" * 64), path)


class Trap:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("pack", [saved, lambda value: saved(value, legacy=True), pickle.dumps])
def test_a_planted_pickle_is_never_executed(tmp_path, pack):
    sprung, path = tmp_path / "sprung", tmp_path / "net.pt"
    path.write_bytes(pack(WEIGHTS | {"trap": Trap(sprung)}))
    message = raised(checkpoints.read, path)
    assert not sprung.exists()
    assert "nothing in it was executed" in message
    assert "torch.save(model.state_dict(), FILE)" in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NEGATIVE_lenet5_whole_module.pkl", "(LeNet5.LeNet)"),
        ("NEGATIVE_trades_mnist_optimizer_state.tar", "it is the state of an optimiser"),
    ],
)
def test_real_files_that_cannot_be_read(real_data, name, expected):
    assert expected in raised(checkpoints.read, real_data / "checkpoints" / name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("advertorch_mnist_lenet5_advtrained.pt", "conv1.weight"),
        ("wong_kolter_mnist_linf0.1.pth", "0.weight"),
        ("attackbox_mnist_cw_dataparallel.pt", "features.0.weight"),
        ("abcrown_cifar10_resnet2b_adv.pth", "conv1.weight"),
        ("oval_cifar10_base_kw.pth", "0.weight"),
    ],
)
def test_real_files_that_can(real_data, name, key):
    assert key in checkpoints.read(real_data / "checkpoints" / name)
