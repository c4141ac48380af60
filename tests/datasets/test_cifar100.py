"""CIFAR-100: pickles that are read without running anything in them."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from robeval.datasets import cifar100 as room
from robeval.datasets import registry
from robeval.datasets.files import Published
from robeval.errors import UserError


def batch(**changes):
    x = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    content = {"data": x, "fine_labels": [99, 0], "coarse_labels": [19, 0], "filenames": ["a", "b"]} | changes
    return {key.encode(): value for key, value in content.items()}


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a file that counts as the published one."""

    def write(content, split="test"):
        folder = tmp_path / room.FOLDER
        folder.mkdir(exist_ok=True)
        content = content if isinstance(content, bytes) else pickle.dumps(content, 3)
        (folder / split).write_bytes(content)
        monkeypatch.setitem(room.FILES, split, Published(0, hashlib.md5(content).hexdigest()))
        return folder / split

    return write


def refused(tmp_path):
    with pytest.raises(UserError) as caught:
        registry.load("cifar100", "test", (tmp_path,))
    assert caught.value.fix
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_fine_labels(tmp_path, put, split):
    put(batch(), split)
    samples = registry.load("cifar100", split, (tmp_path,))
    assert samples.x.shape == (2, 3, 32, 32)
    assert samples.x[1, 2, 31, 31] == (2 * 3072 - 1) % 256
    assert samples.y.tolist() == [99, 0]
    assert samples.num_classes == 100


def test_it_is_missing(tmp_path):
    message = refused(tmp_path)
    assert "missing: test;" in message
    assert str(tmp_path / room.FOLDER) in message
    assert "robeval data fetch cifar100" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pickle.dumps(batch(), 3)[:-9], "this is no batch of CIFAR"),
        (b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x.", "this is no batch of CIFAR"),
        (b"<html>", "this is no batch of CIFAR"),
        ([batch()], "it has no images"),
        (batch(data=np.zeros((2, 3071), np.uint8)), "it has no images"),
        (batch(data=np.zeros((2, 3072), np.float32)), "it has no images"),
        (batch(data=[0] * 3072), "it has no images"),
        (batch(fine_labels=[1]), "it has not one whole number for each of 2 images"),
        (batch(fine_labels=["a", "b"]), "it has not one whole number"),
        (batch(fine_labels=[[1], [2]]), "it has not one whole number"),
        (batch(fine_labels=[0, 100]), "image 1 has the label 100, expected 0 to 99"),
        (batch(fine_labels=[-1, 0]), "image 0 has the label -1"),
    ],
)
def test_malformed_files(tmp_path, put, content, expected):
    path = put(content)
    message = refused(tmp_path)
    assert expected in message
    assert str(path) in message


def test_another_file(tmp_path, put):
    path = put(batch())
    path.write_bytes(pickle.dumps(batch(fine_labels=[0, 1]), 3))
    assert "found the md5" in refused(tmp_path)


class Trap:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_in_it_is_executed(tmp_path, put):
    put(batch(trap=Trap(tmp_path / "sprung")))
    assert "system" in refused(tmp_path)
    assert not (tmp_path / "sprung").exists()
