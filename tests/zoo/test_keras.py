"""Weights that Keras saved in HDF5."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from robeval.errors import UserError
from robeval.zoo import checkpoints
from robeval.zoo.layouts import fit

h5py = pytest.importorskip("h5py")

DRAW = np.random.default_rng(0)
KERNEL = DRAW.normal(size=(3, 3, 1, 4)).astype(np.float32)  # (height, width, in, out)
DENSE = DRAW.normal(size=(64, 10)).astype(np.float32)  # (in, out)
FOUR, TEN = DRAW.normal(size=(2, 4)).astype(np.float32), DRAW.normal(size=10).astype(np.float32)
NORM = {"gamma": FOUR[0], "beta": FOUR[1], "moving_mean": FOUR[0] / 2, "moving_variance": FOUR[1] ** 2}
# As TensorFlow 2.3 writes them, with the name of the model before that of the layer, and as Keras 3 does.
OLD = {
    "clf/c1/clf/c1/kernel:0": KERNEL,
    "clf/c1/clf/c1/bias:0": FOUR[0],
    **{f"clf/norm/clf/norm/{name}:0": array for name, array in NORM.items()},
    "clf/d1/clf/d1/kernel:0": DENSE,
    "clf/d1/clf/d1/bias:0": TEN,
}
WHOLE = {f"model_weights/{name}": array for name, array in OLD.items()} | {"optimizer_weights/adam/iter:0": np.int64(3)}
NUMBERED = {
    "layers/c1/vars/0": KERNEL,
    "layers/c1/vars/1": FOUR[0],
    **{f"layers/norm/vars/{i}": array for i, array in enumerate(NORM.values())},
    "layers/d1/vars/0": DENSE,
    "layers/d1/vars/1": TEN,
    "layers/dropout/seed_generator/vars/0": np.zeros(2, np.uint32),
    "optimizer/vars/0": np.int64(3),
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.d1 = nn.Linear(64, 10)


@pytest.fixture
def put(tmp_path):
    def write(arrays):
        path = tmp_path / "net.h5"
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
        return path

    return write


@pytest.mark.parametrize("arrays", [OLD, WHOLE, NUMBERED], ids=["weights", "model", "keras3"])
def test_kernels_are_turned_as_torch_wants_them(put, arrays):
    path, net = put(arrays), Net()
    assert checkpoints.kind(path) == "Keras weights, HDF5"
    assert fit(checkpoints.read(path), net, path) == ()
    for i, j, out in ((0, 0, 0), (1, 2, 3)):
        assert net.c1.weight[out, 0, i, j] == KERNEL[i, j, 0, out]
    assert np.array_equal(net.d1.weight.detach(), DENSE.T)
    assert np.array_equal(net.norm.running_mean, NORM["moving_mean"])
    assert np.array_equal(net.norm.running_var, NORM["moving_variance"])
    assert np.array_equal(net.norm.weight.detach(), NORM["gamma"])


def test_layers_of_one_name_keep_the_whole_way_to_them(put):
    weights = checkpoints.read(put({"left/d1/kernel:0": DENSE, "right/d1/kernel:0": DENSE + 1, "right/d2/bias:0": TEN}))
    assert set(weights) == {"left.d1.weight", "right.d1.weight", "d2.bias"}
    assert torch.equal(weights["right.d1.weight"], weights["left.d1.weight"] + 1)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"lstm/recurrent_kernel:0": DENSE}, "'lstm/recurrent_kernel' has 2 dimensions and is of a layer"),
        ({"c1/kernel:0": DENSE.reshape(4, 4, 4, 5, 2)}, "'c1/kernel' has 5 dimensions"),
        ({"layers/norm/vars/0": TEN, "layers/norm/vars/1": TEN}, "layer 'layers/norm' has 2 weights without names"),
        ({"c1/vars/" + 5000 * "1": (3, 3, 1, 4)}, "has 1 weights without names"),
        ({}, "it holds nothing"),
        ({"c1/kernel:0": "text"}, "is cut or damaged"),
    ],
)
def test_what_has_no_place_in_torch_is_refused(put, arrays, expected):
    with pytest.raises(UserError) as caught:
        checkpoints.read(put(arrays))
    assert expected in str(caught.value)
    assert caught.value.fix


def outside(file):
    file["c1"] = h5py.ExternalLink("other.h5", "/")


def soft(file):
    file["c1"] = h5py.SoftLink("/")


def circle(file):
    file["c1/again"] = file["/"]


def elsewhere(file):
    file.create_dataset("c1/kernel:0", (8,), "f4", external=[("other.bin", 0, 32)])


def virtual(file):
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (8,))
    file.create_virtual_dataset("c1/kernel:0", layout)


def bomb(file):
    file.create_dataset(
        "c1/kernel:0", (1 << 10, 1 << 10), "f4", compression="gzip", data=np.zeros((1 << 10, 1 << 10), "f4")
    )


def hollow(file):
    file.create_dataset("c1/kernel:0", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 10))


@pytest.mark.parametrize("build", [outside, soft, circle, elsewhere, virtual, bomb, hollow])
def test_other_files_are_not_read_and_nothing_unpacks_to_more_than_the_file(tmp_path, build):
    (tmp_path / "other.bin").write_bytes(np.ones(8, np.float32).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel:0"] = other["x"] = np.ones(8, np.float32)
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        build(file)
    with pytest.raises(UserError, match="is cut or damaged"):
        checkpoints.read(path)


def test_without_h5py_the_way_to_it_is_named(put, monkeypatch):
    path = put(OLD)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"needs h5py, which is not installed\n  Run `pip install 'robeval\[keras\]'`"):
        checkpoints.read(path)


def test_more_arrays_than_a_network_has_are_refused(put, monkeypatch):
    monkeypatch.setattr("robeval.zoo.formats.keras.MOST", len(OLD))
    with pytest.raises(UserError, match=r"it has more than \d+ groups and arrays"):
        checkpoints.read(put(OLD))
