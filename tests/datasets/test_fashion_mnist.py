"""Fashion-MNIST: other files of MNIST's names and form, whose md5 is known compressed."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from robeval.datasets import fashion_mnist as room
from robeval.datasets import registry
from robeval.datasets.files import Published
from robeval.errors import UserError

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def images(n=3, side=28, held=None):
    return struct.pack(">IIII", 0x803, n, side, side) + bytes(n * 784 if held is None else held)


def labels(*values):
    return struct.pack(">II", 0x801, len(values)) + bytes(values)


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes two files that count as the published ones, but for what is changed after."""

    def write(x, y, packed=True):
        folder = tmp_path / "FashionMNIST" / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((IMAGES, x), (LABELS, y)):
            monkeypatch.setitem(room.FILES, name, Published(len(content), ""))
            content = gzip.compress(content) if packed else content
            (folder / (name + ".gz" * packed)).write_bytes(content)
            known = Published(len(content), hashlib.md5(content).hexdigest())
            monkeypatch.setitem(room.FILES, f"{name}.gz", known)
        return folder

    return write


def load(tmp_path):
    return registry.load("fashion_mnist", "test", (tmp_path,))


def refused(tmp_path):
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert caught.value.fix
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_it_is_read_like_mnist(tmp_path, put, packed):
    put(images(), labels(9, 2, 1), packed)
    samples = load(tmp_path)
    assert samples.x.shape == (3, 1, 28, 28)
    assert samples.y.tolist() == [9, 2, 1]


def test_files_of_mnist_in_the_root_are_not_taken_for_it(tmp_path, put):
    folder = put(images(), labels(9, 2, 1))
    for path in folder.iterdir():
        path.rename(tmp_path / path.name)
    message = refused(tmp_path)
    assert f"missing: {IMAGES}.gz, {LABELS}.gz;" in message
    assert "robeval data fetch fashion_mnist" in message


def test_a_compressed_file_has_the_published_md5(tmp_path, put):
    folder = put(images(), labels(9, 2, 1))
    path = folder / f"{LABELS}.gz"
    content = bytearray(path.read_bytes())
    content[4] ^= 1  # the time stamp: what it unpacks to is the same
    path.write_bytes(content)
    assert "found the md5" in refused(tmp_path)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (images(), labels(9, 2, 10), "image 2 has the label 10, expected 0 to 9"),
        (images(), labels(9, 2), "it has 2 labels for 3 images"),
        (images(2**31, 2**15, 3 * 784), labels(9, 2, 1), "it declares 2147483648x32768x32768 bytes, but holds 2352"),
        (images(3, 29, 3 * 784), labels(9, 2, 1), "it declares 3x29x29 bytes, but holds 2352"),
        (labels(9, 2, 1), labels(9, 2, 1), "expected 00 00 08 03"),
    ],
)
def test_malformed_files(tmp_path, put, x, y, expected):
    put(x, y, packed=False)
    assert expected in refused(tmp_path)


def test_what_is_published_agrees_with_itself():
    assert len(registry.catalog()["fashion_mnist"].downloads) == 4
    for name, known in room.FILES.items():
        size = (16 + 784 * 10_000 if "images" in name else 10_008) if "t10k" in name else None
        if size and not name.endswith(".gz"):
            assert known.size == size
    assert np.all([known.md5 for name, known in room.FILES.items() if name.endswith(".gz")])
