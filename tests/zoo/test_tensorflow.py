"""TensorFlow checkpoints: the logits of TensorFlow's own graph, every way to name one, and what is refused."""

import hashlib
import os
import time
import zipfile
from pathlib import Path

import bundle
import numpy as np
import pytest
import torch
from peak import peak
from torch import nn

from robeval.errors import UserError
from robeval.values.card import Checkpoint, Input, ModelCard, Network
from robeval.zoo import bundles, cards, checkpoints
from robeval.zoo.archs import registry
from robeval.zoo.formats import tensorflow_saved
from robeval.zoo.inspect import inspect
from robeval.zoo.layouts import fit, misfits
from robeval.zoo.load import load_model
from robeval.zoo.save import convert

FIXTURES = Path(__file__).parent / "fixtures"
MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
NARROW = Network("madry_resnet", {"units": 1, "widen_factor": 1})
PER_IMAGE, TWICE = Input("per_image"), Input("fixed", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folders of the checkpoints that TensorFlow wrote, by archive and name."""
    folder = tmp_path_factory.mktemp("saved")
    for archive in FIXTURES.glob("*.zip"):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder / archive.stem)
    return {path.stem: next(path.rglob("checkpoint-*")).parent for path in folder.iterdir()}


def narrow(folder, wanted):
    return load_model(ModelCard("n", "N", "cifar10", NARROW, wanted), CIFAR, 10, folder)


def distance(model, file, key):
    kept = np.load(FIXTURES / file)
    with torch.no_grad():
        return float((model.module(torch.from_numpy(kept["images"])) - torch.from_numpy(kept[key])).abs().max())


# The checksum


# The same logits as TensorFlow


def test_logits_of_the_mnist_network(saved):
    model = load_model(cards.load("madry_mnist_adv_trained"), MNIST, 10, saved["madry_mnist"])
    assert distance(model, "madry_mnist.npz", "logits") < 1e-5
    assert model.notes[0].startswith("dropped 17 tensors of the optimiser: Variable/Adam")
    assert "names no sha256" in model.notes[1]


@pytest.mark.parametrize(("wanted", "key"), [(PER_IMAGE, "standardised"), (TWICE, "scaled")])
def test_logits_of_the_resnet_as_madry_and_as_bat_feed_it(saved, wanted, key):
    model = narrow(saved["madry_cifar10"], wanted)
    assert distance(model, "madry_cifar10.npz", key) < 1e-5
    assert "dropped 24 tensors of the optimiser: global_step, " in model.notes[0]


def symmetric(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.forward = lambda x, module=module: nn.functional.conv2d(x, module.weight, None, module.stride, 1)


def other_eps(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5


def other_mean(network):
    network.bn1.running_mean.zero_()


@pytest.mark.parametrize("spoil", [symmetric, other_eps, other_mean])
def test_the_logits_tell_details_apart(saved, spoil):
    model = narrow(saved["madry_cifar10"], PER_IMAGE)
    spoil(model.module.network)
    assert distance(model, "madry_cifar10.npz", "standardised") > 1e-3


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.2])
def test_the_logits_tell_the_slope(saved, slope, monkeypatch):
    model = narrow(saved["madry_cifar10"], TWICE)
    leaky = nn.functional.leaky_relu
    monkeypatch.setattr("robeval.zoo.archs.madry_resnet.F.leaky_relu", lambda x, _: leaky(x, slope))
    assert distance(model, "madry_cifar10.npz", "scaled") > 1e-2


@pytest.mark.parametrize(
    ("wanted", "key"),
    [(Input(), "scaled"), (PER_IMAGE, "scaled"), (Input(), "standardised"), (TWICE, "standardised")],
)
def test_the_logits_tell_the_input(saved, wanted, key):
    assert distance(narrow(saved["madry_cifar10"], wanted), "madry_cifar10.npz", key) > 1e-2


def test_the_logits_tell_the_order_of_the_flattening(saved):
    model = load_model(cards.load("madry_mnist_secret"), MNIST, 10, saved["madry_mnist"])
    stored = checkpoints.read(saved["madry_mnist"])["Variable_4"]
    assert not torch.equal(model.module.fc1.weight, stored)
    model.module.fc1.weight.copy_(stored)
    assert distance(model, "madry_mnist.npz", "logits") > 1e-2


# Names and shapes as released


@pytest.mark.parametrize(("params", "sizes"), [({}, {}), ({"widen_factor": 1}, {"widen": 1})])
def test_the_released_names_and_shapes_of_the_resnet(params, sizes):
    with torch.device("meta"):
        network = registry.build("madry_resnet", params, CIFAR, 10, "")
        shapes = bundle.resnet(**sizes) | {"logit/DW/Momentum": (1, 1), "global_step": ()}
        orders = {4: (3, 2, 0, 1), 2: (1, 0)}
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
        state = {name: each.permute(orders.get(each.ndim, (*range(each.ndim),))) for name, each in state.items()}
        assert misfits(state, network) == []
        spoilt = state | {"unit_1_0/sub1/conv1/DW": torch.empty(3, 3, 3, 3), "other/DW": torch.empty(1)}
        del spoilt["logit/biases"]
        problems = "; ".join(misfits(spoilt, network))
    for part in ("1 missing: fc.bias", "1 unexpected: other/DW", "block1.layer.0.conv1.weight (found 3x3x3x3"):
        assert part in problems


def test_the_released_mnist_network_of_another_size_is_refused(tmp_path):
    prefix = bundle.write(tmp_path / "checkpoint-7", bundle.mnist(hidden=512))
    with pytest.raises(UserError, match=r"the weights do not fit the network: 3 different: fc1\.weight"):
        load_model(cards.load("madry_mnist_natural"), MNIST, 10, prefix)


def test_a_network_that_was_never_in_tensorflow_does_not_fit(saved):
    network = registry.build("small_cnn", {}, MNIST, 10, "")
    with pytest.raises(UserError, match="do not fit"):
        fit(checkpoints.read(saved["two_data_files"]), network, "x")


def test_inspect_and_convert(saved, tmp_path):
    found = inspect(saved["madry_mnist"])
    assert found.kind == tensorflow_saved.NAME
    assert [(each.network.arch, each.datasets[0]) for each in found.fits] == [("madry_cnn", "mnist")]
    assert [each.network for each in inspect(saved["madry_cifar10"]).fits] == [NARROW]
    path = convert(saved["madry_mnist"], cards.load("madry_mnist_natural"), tmp_path)
    model = load_model(cards.load(str(path)), MNIST, 10)
    assert distance(model, "madry_mnist.npz", "logits") < 1e-5
    assert model.notes == ()


# Every way to name one

SMALL = {"a/DW": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5, 2]), "c": np.array(7)}


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


def packed(folder, path, inside="models/secret/"):
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, f"{inside}{each.name}")
    return path


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


# What is refused

ROWS, (DATA,) = bundle.rows_of(SMALL)
INDEX = bundle.table(ROWS)
SIZE = len(DATA)


def with_entry(*values, name=b"a/DW"):
    """An index in which one variable is described otherwise, its checksums being right."""
    rows = [(key, bundle.entry(*values) if key == name else value) for key, value in ROWS]
    return bundle.table(rows), DATA


def overlapping():
    """Two thousand variables, each of the whole data file."""
    crc = bundle.masked(bytes(1 << 20))
    rows = [(f"{i:06d}".encode(), bundle.entry(1, (1 << 18,), 0, 0, 1 << 20, crc)) for i in range(1_900)]
    return bundle.table([(b"", bundle.field(1, 1)), *rows], 1000), bytes(1 << 20)


def long_names():
    """Names that unpack to a thousand bytes each from five."""
    rows = [(b"x" * 1000 + f"{i:05d}".encode(), b"") for i in range(30_000)]
    return bundle.table([(b"", bundle.field(1, 1)), *rows], 30_001), b""


def many_variables():
    """Each of one number, which takes a millisecond to check."""
    crc = bundle.masked(bytes(4))
    rows = [(f"{i:06d}".encode(), bundle.entry(1, (1,), 0, 4 * i, 4, crc)) for i in range(10_000)]
    return bundle.table([(b"", bundle.field(1, 1)), *rows], 1000), bytes(40_000)


def one_block_often():
    part = bundle.block(ROWS)
    handle = bundle.varint(0) + bundle.varint(len(part) - 5)
    return bundle.finished(part, [(f"{i:05d}".encode(), handle) for i in range(20_000)]), DATA


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]


NESTED = b"\x12\x80\x01" * 100_000
FEW = b"\x0f" * 4
REFUSED = {
    "empty index": (b"", DATA, "the file is empty"),
    "index cut": (INDEX[:-20], DATA, "the index is cut"),
    "index cut to its footer": (INDEX[-48:], DATA, "block lies outside"),
    "bit in the index": (flipped(INDEX, 10), DATA, "a checksum in the index is wrong"),
    "bit in the footer": (flipped(INDEX, len(INDEX) - 46), DATA, "cannot be read"),
    "bit in the data": (INDEX, flipped(DATA, 3), "the checksum of 'a/DW' is wrong"),
    "data cut": (INDEX, DATA[:-1], "'c' lies outside the data files"),
    "web page for data": (INDEX, b"<html>", "lies outside the data files"),
    "web page for index": (b"<!DOCTYPE html><html>", DATA, "this is a web page"),
    "huge tensor": (*with_entry(1, (1 << 40,), 0, 0, 1 << 42, FEW), "lies outside the data files"),
    "huge shape": (*with_entry(1, (1 << 62, 1 << 62), 0, 0, 24, FEW), "declares 24 bytes, which its shape"),
    "negative size": (*with_entry(1, ((1 << 64) - 6,), 0, 0, 24, FEW), "which its shape"),
    "far offset": (*with_entry(1, (2, 3), 0, 1 << 63, 24, FEW), "lies outside the data files"),
    "many axes": (*with_entry(1, (1 << 62,) * 20_000, 0, 0, 24, FEW), "which its shape"),
    "nothing in it": (*with_entry(1, (0,), 0, 0, 0, FEW), "which its shape"),
    "a text": (*with_entry(7, (2, 3), 0, 0, 24, FEW), "is not of plain numbers"),
    "no checksum": (*with_entry(1, (2, 3), 0, 0, 24, b""), "cut"),
    "of another file": (*with_entry(1, (2, 3), 5, 0, 24, FEW), "lies outside the data files"),
    "no header": (bundle.table(ROWS[1:]), DATA, "has no header"),
    "no variables": (bundle.table(ROWS[:1]), DATA, "it holds nothing"),
    "big-endian": (bundle.table([(b"", bundle.field(1, 1) + bundle.field(2, 1)), *ROWS[1:]]), DATA, "big-endian"),
    "a data file missing": (bundle.table([(b"", bundle.field(1, 3)), *ROWS[1:]]), DATA, "net.data-00000-of-00003 is"),
    "many data files": (bundle.table([(b"", bundle.field(1, 1 << 60)), *ROWS[1:]]), DATA, "is not there"),
    "compressed": (bundle.table(ROWS, kind=1), DATA, "the index is compressed"),
    "not in order": (bundle.table([ROWS[0], *reversed(ROWS[1:])]), DATA, "are not in order"),
    "a message for a number": (bundle.table([(b"", bundle.field(1, b"x")), *ROWS[1:]]), DATA, "a number belongs"),
    "a number for a message": (bundle.table([*ROWS[:-1], (b"c", bundle.field(2, 3))]), DATA, "a message belongs"),
    "nested": (bundle.table([*ROWS[:-1], (b"c", NESTED)]), DATA, "cut"),
    "an endless number": (bundle.table([*ROWS[:-1], (b"c", b"\xff" * 100)]), DATA, "has no end"),
    "slices": (bundle.table([*ROWS[:-1], (b"c", ROWS[-1][1] + bundle.field(7, b""))]), DATA, "stored in slices"),
    "a long index": (bytes(1 << 21), DATA, "is longer than"),
    "overlapping": (*overlapping(), "on top of others"),
    "long names": (*long_names(), "too long"),
    "many variables": (*many_variables(), "the index names 10000 variables"),
    "one block often": (*one_block_often(), "blocks of the index overlap"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_one_message_soon(tmp_path, name):
    index, data, expected = REFUSED[name]
    (tmp_path / "net.index").write_bytes(index)
    (tmp_path / "net.data-00000-of-00001").write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(UserError) as caught:
        checkpoints.read(tmp_path / "net")
    assert time.perf_counter() - start < 5
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'net'}.index: ")
    assert len(str(caught.value)) < 700
    assert caught.value.fix
    assert caught.value.__cause__ is None


def test_a_flipped_bit_is_refused_or_changes_nothing_and_a_cut_is_refused(tmp_path):
    (tmp_path / "net.data-00000-of-00001").write_bytes(DATA)
    for at in range(0, len(INDEX), 2):
        (tmp_path / "net.index").write_bytes(flipped(INDEX, at))
        try:
            weights = checkpoints.read(tmp_path / "net")
        except UserError:
            continue
        assert torch.equal(weights["a/DW"], torch.arange(6.0).reshape(2, 3).T)
        assert set(weights) == set(SMALL)
    for end in range(0, len(INDEX), 5):
        (tmp_path / "net.index").write_bytes(INDEX[:end])
        with pytest.raises(UserError):
            checkpoints.read(tmp_path / "net")


def with_memory(folder):
    """A small network, and sixty million bytes of an optimiser before, between and behind its weights."""
    large, places = 20_000_000, []
    folder.mkdir()
    with (folder / "net.data-00000-of-00001").open("wb") as file:
        for name in ("a/DW", "b", "c"):
            places.append((f"{name}/Momentum", bundle.entry(1, (large // 4,), 0, file.tell(), large, FEW)))
            file.seek(large, 1)  # a hole, which the disk does not hold
            value = SMALL[name]
            stored = value.tobytes()
            crc = bundle.masked(stored)
            places.append(
                (name, bundle.entry(bundle.TYPES[value.dtype.name], value.shape, 0, file.tell(), len(stored), crc))
            )
            file.write(stored)
    found = [(name.encode(), message) for name, message in sorted(places)]
    (folder / "net.index").write_bytes(bundle.table([ROWS[0], *found]))
    return folder / "net"


def test_what_an_optimiser_remembers_is_not_read(tmp_path):
    """It is half of the released checkpoints of CIFAR-10, or two thirds."""
    prefix = with_memory(tmp_path / "it")
    weights = checkpoints.read(prefix)
    assert torch.equal(weights["a/DW"], torch.arange(6.0).reshape(2, 3).T)
    assert weights["c"] == 7
    assert weights["a/DW/Momentum"].shape == (5_000_000,), "that it is there is said all the same"
    os.truncate(tmp_path / "it" / "net.data-00000-of-00001", 50_000_000)
    with pytest.raises(UserError, match="'c/Momentum' lies outside the data files"):
        checkpoints.read(prefix)


def test_memory_is_taken_for_weights_alone(saved, tmp_path):
    """Neither for what is left out, nor for what is refused, nor twice for a member of an archive."""
    pytest.importorskip("resource")
    prefix = with_memory(tmp_path / "it")
    with zipfile.ZipFile(tmp_path / "it.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(f"{prefix}.index", "it/net.index")
        archive.write(f"{prefix}.data-00000-of-00001", "it/net.data-00000-of-00001")
    large = bundle.write(tmp_path / "large" / "net", SMALL)
    os.truncate(f"{large}.data-00000-of-00001", 3 << 30)
    for name, (index, data, _) in REFUSED.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.index").write_bytes(index)
        (tmp_path / name / "net.data-00000-of-00001").write_bytes(data)
    paths = [prefix, tmp_path / "it.zip", large, *(tmp_path / name / "net" for name in REFUSED)]
    start = time.perf_counter()
    grown, read = peak(saved["madry_mnist"], paths)
    assert read == [str(prefix), str(tmp_path / "it.zip")]
    assert grown < 20_000, "kilobytes"
    assert time.perf_counter() - start < 30


def test_an_old_checkpoint_is_named(saved):
    (path,) = saved["version_1"].iterdir()
    with pytest.raises(UserError, match="TensorFlow checkpoint of version 1"):
        checkpoints.read(path)


def test_a_part_alone(tmp_path):
    (tmp_path / "net.data-00000-of-00001").write_bytes(DATA)
    with pytest.raises(UserError, match=r"Put net.index, which says what is where in it, beside it"):
        checkpoints.locate(ModelCard("n", "N", "mnist", NARROW), tmp_path / "net.data-00000-of-00001")


def test_a_damaged_archive_and_one_that_unpacks_to_more_than_weights_do(saved, tmp_path):
    path = packed(saved["madry_cifar10"], tmp_path / "n.zip")
    content = path.read_bytes()
    path.write_bytes(content[:5000] + b"\1" + content[5001:])
    with pytest.raises(UserError, match="the checksum of 'logit/DW' is wrong"):
        checkpoints.read(path)
    path.write_bytes(content.replace(b"PK\3\4", b"PK\3\5"))
    with pytest.raises(UserError, match="this archive is cut, damaged or locked"):
        checkpoints.read(path)
    assert checkpoints.read(FIXTURES / "madry_mnist.zip").keys() > {"Variable"}, "small, but as it is for its tests"
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.index", b"")
        archive.writestr("net.data-00000-of-00001", bytes(70_000_000))
    with pytest.raises(UserError, match="its entries declare 70000000 bytes, more than weights can be packed"):
        checkpoints.read(tmp_path / "bomb.zip")
