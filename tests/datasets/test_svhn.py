"""SVHN: MATLAB files in which ten stands for zero."""

import hashlib
import io

import numpy as np
import pytest
from scipy.io import savemat

from robeval.datasets import registry
from robeval.datasets import svhn as room
from robeval.datasets.files import Published
from robeval.errors import UserError

X = np.random.RandomState(0).randint(0, 256, (32, 32, 3, 4), dtype=np.uint8)
Y = np.array([[10], [1], [9], [5]], dtype=np.uint8)


def mat(**arrays):
    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a file that counts as the published one."""

    def write(content, folder=""):
        path = tmp_path / folder / "test_32x32.mat"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        monkeypatch.setitem(room.FILES, path.name, Published(len(content), hashlib.md5(content).hexdigest()))
        return path

    return write


@pytest.mark.parametrize("folder", ["", "svhn", "SVHN"])
def test_ten_is_zero(tmp_path, put, folder):
    put(mat(X=X, y=Y), folder)
    samples = registry.load("svhn", "test", (tmp_path,))
    assert samples.y.tolist() == [0, 1, 9, 5]
    assert samples.x.dtype == np.uint8
    assert np.array_equal(samples.x[2, 1], X[:, :, 1, 2])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (mat(X=X, y=Y)[:-400], "this is no MATLAB file of SVHN"),
        (b"<html>" * 100, "this is no MATLAB file of SVHN"),
        (mat(X=X, y=Y + 1), "its labels are 2 to 11, expected 1 to 10"),
        (mat(X=X, y=Y * 0), "its labels are 0 to 0, expected 1 to 10"),
        (mat(X=X, y=Y[:3]), "it has not one whole number for each of 4 images"),
        (mat(X=X, y=Y / 2), "it has not one whole number"),
        (mat(X=X), "it has not one whole number"),
        (mat(y=Y), "it has no images of 32x32x3 bytes"),
        (mat(X=X[:31], y=Y), "it has no images of 32x32x3 bytes"),
        (mat(X=X / 255, y=Y), "it has no images of 32x32x3 bytes"),
        (mat(X={"deep": {"deeper": X}}, y=Y), "it has no images of 32x32x3 bytes"),
    ],
)
def test_malformed_files(tmp_path, put, content, expected):
    path = put(content)
    with pytest.raises(UserError) as caught:
        registry.load("svhn", "test", (tmp_path,))
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.fix
    assert caught.value.__cause__ is None


def test_a_file_that_is_cut_or_missing(tmp_path, put):
    path = put(mat(X=X, y=Y))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="bytes, expected"):
        registry.load("svhn", "test", (tmp_path,))
    with pytest.raises(UserError, match="robeval data fetch svhn"):
        registry.load("svhn", "train", (tmp_path,))
