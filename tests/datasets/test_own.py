"""Images in place of a suite's own: arrays, folders, another data set."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from robeval.datasets import own, registry
from robeval.errors import UserError

X = np.random.RandomState(0).randint(0, 256, (5, 3, 8, 8), dtype=np.uint8)
Y = np.array([0, 1, 2, 1, 9])


def load(path, like="mine"):
    return own.load(str(path), like, "test", ())


def refused(path, like="mine"):
    with pytest.raises(UserError) as caught:
        load(path, like)
    assert caught.value.fix
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (X, X),
        (X.transpose(0, 2, 3, 1), X),
        ((X / 255).astype(np.float32), (X / 255).astype(np.float32)),
        (X[:, 0], X[:, :1]),
    ],
)
@pytest.mark.parametrize("names", ["xy", "XY"])
def test_arrays_in_an_npz_file(tmp_path, x, expected, names):
    np.savez_compressed(tmp_path / "a.npz", **dict(zip(names, (x, Y))), more=Y)
    samples = load(tmp_path / "a.npz")
    assert np.array_equal(samples.x, expected)
    assert samples.x.dtype == expected.dtype
    assert samples.y.tolist() == Y.tolist()
    assert (samples.dataset, samples.num_classes) == ("mine", 10)


def test_arrays_beside_each_other(tmp_path):
    np.save(tmp_path / "cifar10_X.npy", (X.transpose(0, 2, 3, 1) / 255).astype(np.float32))
    np.save(tmp_path / "cifar10_Y.npy", Y)
    assert np.array_equal(load(tmp_path / "cifar10_X.npy").x, (X / 255).astype(np.float32))


def test_a_folder_of_folders(tmp_path):
    for name, label in (("b/2.png", 1), ("a/1.png", 0), ("a/0.bmp", 2)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(X[label].transpose(1, 2, 0)).save(tmp_path / name)
    samples = load(tmp_path)
    assert samples.y.tolist() == [0, 0, 1]
    assert samples.num_classes == 2
    assert np.array_equal(samples.x[0:3], X[[2, 0, 1]])
    assert "it holds 2 folders, but digits has 10 classes" in refused(tmp_path, "digits")


def test_grey_images_have_one_channel(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(X[0, 0]).save(tmp_path / "a" / "0.png")
    assert load(tmp_path).shape == (1, 8, 8)


def test_another_data_set():
    assert load("digits", "mnist").content == registry.load("digits", "test").content


def test_the_arrays_of_the_trades_challenge(tmp_path):
    for name, image in (("cifar10", (32, 32, 3)), ("mnist", (28, 28))):
        x = np.random.RandomState(1).rand(4, *image)
        np.save(tmp_path / f"{name}_X.npy", x)
        np.save(tmp_path / f"{name}_Y.npy", np.array([3, 8, 8, 0]))
        samples = own.load(f"trades_{name}", name, "test", (tmp_path,))
        assert samples.x.dtype == np.float32
        assert np.array_equal(samples.x[2, 0], (x[2, :, :, 0] if x.ndim == 4 else x[2]).astype(np.float32))
        assert samples.y.tolist() == [3, 8, 8, 0]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (np.zeros((4, 32, 32)), np.zeros(4, int), "expected floats of shape (n, 32, 32, 3)"),
        (np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, int), "it holds uint8"),
        (np.full((4, 32, 32, 3), 255.0), np.zeros(4, int), "its pixels are not all from 0 to 1"),
        (np.full((4, 32, 32, 3), np.nan), np.zeros(4, int), "its pixels are not all from 0 to 1"),
        (np.zeros((4, 32, 32, 3)), np.zeros(3, int), "expected 4 whole numbers"),
        (np.zeros((4, 32, 32, 3)), np.full(4, 10), "image 0 has the label 10"),
        (np.zeros((4, 32, 32, 3)), np.array([[1]] * 4), "expected 4 whole numbers"),
    ],
)
def test_malformed_arrays_of_the_challenge(tmp_path, x, y, expected):
    np.save(tmp_path / "cifar10_X.npy", x)
    np.save(tmp_path / "cifar10_Y.npy", y)
    with pytest.raises(UserError) as caught:
        registry.load("trades_cifar10", "test", (tmp_path,))
    assert expected in str(caught.value)


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def lying_npy():
    """A header that declares far more than there is."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 3, 2**10, 2**10)}
    )
    return file.getvalue() + bytes(100)


def npz_of(**contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (npz(x=X, labels=Y), "it holds the arrays x, labels, expected x (images) and y (classes)"),
        (npz(x=X, y=Y)[:-20], "cannot be read"),
        (npz(x=np.array([object()] * 5), y=Y), "it holds Python objects"),
        (npz(x=np.zeros((10_000, 3, 64, 64), np.uint8), y=Y), "bytes, more than images are packed into it"),
        (npz_of(x=lying_npy(), y=b""), "cannot be read"),
        (npz_of(x=b"nonsense", y=b"nonsense"), "cannot be read"),
        (npz(x=X, y=Y[:4]), "shapes are (5, 3, 8, 8) and (4,)"),
        (npz(x=X, y=Y / 2), "classes are float64"),
        (npz(x=X.astype(np.float32), y=Y), "expected 0 to 1"),
        (npz(x=X / 255, y=Y), "pixels are float64, expected float32, or uint8 for 0 to 255"),
        (npz(x=X, y=Y - 1), "classes are -1 to 8"),
        (b"<html>", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_malformed_npz_files(tmp_path, content, expected):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    message = refused(path)
    assert expected in message
    assert str(path) in message


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\1\0", lying_npy(), b"<html>"])
def test_malformed_npy_files(tmp_path, content):
    (tmp_path / "a_X.npy").write_bytes(content)
    np.save(tmp_path / "a_Y.npy", Y)
    assert "the arrays cannot be read" in refused(tmp_path / "a_X.npy")


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a_X.npy", np.array([object()]))
    np.save(tmp_path / "a_Y.npy", Y)
    assert "it holds Python objects" in refused(tmp_path / "a_X.npy")


def test_what_is_nothing_of_this(tmp_path):
    assert "there is no data set, file or folder 'digitss'" in refused("digitss")
    assert "Did you mean 'digits'?" in refused("digitss")
    assert "there is no data set, file or folder" in refused(tmp_path / "none.npz")
    (tmp_path / "a.txt").touch()
    assert "is no file of images and classes" in refused(tmp_path / "a.txt")
    (tmp_path / "empty").mkdir()
    assert "it holds no folders" in refused(tmp_path / "empty")
    np.save(tmp_path / "b_X.npy", X)
    assert "b_Y.npy" in refused(tmp_path / "b_X.npy")
