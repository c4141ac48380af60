"""MNIST from idx files, plain and gzip, whole and damaged."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from robeval.datasets import mnist as room
from robeval.datasets import registry
from robeval.datasets.files import Published
from robeval.errors import UserError

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture
def idx(monkeypatch):
    """The contents of two small files, which count as the published ones."""
    x = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    contents = {
        IMAGES: struct.pack(">IIII", 0x803, 3, 28, 28) + x.tobytes(),
        LABELS: struct.pack(">II", 0x801, 3) + bytes([7, 2, 1]),
    }
    for name, content in contents.items():
        monkeypatch.setitem(room.FILES, name, Published(len(content), hashlib.md5(content).hexdigest()))
    return contents


def put(folder, contents, spell=lambda name: name, pack=lambda content: content):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / spell(name)).write_bytes(pack(content))


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_every_folder_and_spelling(tmp_path, idx, folder, dotted, packed):
    def spell(name):
        return (name.replace("-idx", ".idx") if dotted else name) + (".gz" if packed else "")

    put(tmp_path / folder, idx, spell, gzip.compress if packed else bytes)
    samples = registry.load("mnist", "test", (tmp_path / "nothing here", tmp_path))
    assert samples.x.shape == (3, 1, 28, 28)
    assert samples.x.dtype == np.uint8
    assert samples.x[1, 0, 0, 0] == 28 * 28 % 256
    assert samples.y.tolist() == [7, 2, 1]
    x, _ = samples.slice(0, 1)
    assert x[0, 0, 0, 5] == 5 / 255


def refused(tmp_path, split="test"):
    with pytest.raises(UserError) as caught:
        registry.load("mnist", split, (tmp_path,))
    assert caught.value.fix
    return str(caught.value)


def test_missing_files_are_named_with_the_folders(tmp_path, idx):
    put(tmp_path, {IMAGES: idx[IMAGES]})
    message = refused(tmp_path)
    assert f"missing: {LABELS}.gz;" in message
    for folder in ("mnist", "MNIST/raw"):
        assert str(tmp_path / folder) in message
    assert "--data-root" in message
    assert "ROBEVAL_DATA" in message
    assert "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz" in refused(tmp_path, "train")


@pytest.mark.parametrize("kept", [1, 4, 20, -20, -1])
def test_cut_gzip(tmp_path, idx, kept):
    put(tmp_path, idx, lambda name: f"{name}.gz", gzip.compress)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    message = refused(tmp_path)
    assert str(path) in message
    assert "again" in message


def test_damaged_gzip(tmp_path, idx):
    put(tmp_path, idx, lambda name: f"{name}.gz", gzip.compress)
    path = tmp_path / f"{IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert str(path) in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content[:-1], f"found {16 + 3 * 784 - 1} bytes, expected {16 + 3 * 784}"),
        (lambda content: content + b"\0", "found more than"),
        (lambda content: content[:-1] + b"\1", "found the md5"),
        (lambda content: b"\0\0\x08\x01" + content[4:], "begins with 00 00 08 01, expected 00 00 08 03"),
        (lambda content: b"<html>", "begins with 3c 68 74 6d"),
        (lambda content: b"", "expected 00 00 08 03"),
    ],
)
def test_altered_files(tmp_path, idx, change, expected):
    put(tmp_path, idx | {IMAGES: change(idx[IMAGES])})
    message = refused(tmp_path)
    assert expected in message
    assert str(tmp_path / IMAGES) in message
    assert room.SOURCE in message


def test_a_gzip_that_unpacks_to_far_more_is_not_read_whole(tmp_path, idx):
    put(tmp_path, idx | {IMAGES: idx[IMAGES] + bytes(1 << 26)}, lambda name: f"{name}.gz", gzip.compress)
    assert "found more than" in refused(tmp_path)


def test_real_test_images(real_data):
    samples = registry.load("mnist", "test", (real_data,))
    assert samples.x.shape == (10_000, 1, 28, 28)
    assert np.bincount(samples.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert samples.y[:5].tolist() == [7, 2, 1, 0, 4]


def test_real_training_images(real_data):
    samples = registry.load("mnist", "train", (real_data,))
    assert samples.x.shape == (60_000, 1, 28, 28)
    assert samples.y[:5].tolist() == [5, 0, 4, 1, 9]
