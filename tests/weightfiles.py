"""Files of weights for tests, as bytes: of every format the same small network."""

import io
import os
import warnings
import zipfile

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

SHAPE = (1, 8, 8)


def network(classes: int = 10) -> nn.Module:
    """A convolution, batch normalisation with statistics of its own, and a linear layer; seeded."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, classes),
        )
        net(torch.rand(32, *SHAPE))
    return net.eval()


def torch_zip(value: object) -> bytes:
    """As torch.save writes today."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def torch_legacy(value: object) -> bytes:
    """As torch.save wrote before 2020."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def safetensors(value: object) -> bytes:
    """As safetensors."""
    return save_safetensors(value)


def keras(state) -> bytes:
    """As Keras writes weights of these names in HDF5; needs h5py."""
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        for name, tensor in state.items():
            layer, kind = name.rsplit(".", 1)
            turned = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor
            out[f"{layer}/{layer}/{'kernel' if kind == 'weight' else kind}:0"] = turned.numpy()
    return file.getvalue()


def torchscript(net: nn.Module) -> bytes:
    """As torch.jit.save writes a scripted module."""
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(net), file)
    return file.getvalue()


def repacked(content: bytes, change) -> bytes:
    """A zip archive with entries that `change(name, content)` returns."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


class Trap:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, path: object) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def onnx_model(net: nn.Module, batch: object = "n"):
    """The network above as an ONNX model, its weights under their own names; needs the package onnx."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {name: tensor.numpy() for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
    norm = [f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    nodes = [
        helper.make_node("Conv", ["image", "0.weight", "0.bias"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", *norm], ["b"], epsilon=1e-5),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "5.weight", "5.bias"], ["logits"], transB=1),
    ]
    about = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *SHAPE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, len(weights["5.bias"])])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(about, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
