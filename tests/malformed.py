"""Files of weights of every format, and reading them as somebody else would: what tests of wrong ones share."""

import io
import json
import time
from importlib.util import find_spec

import pytest
import torch
from weightfiles import SHAPE, keras, network, onnx_model, repacked, safetensors, torch_legacy, torch_zip, torchscript

from robeval.errors import UserError
from robeval.values.card import Checkpoint, ModelCard, Network
from robeval.zoo.archs.registry import build
from robeval.zoo.load import load_model

SMALL = Network("small_cnn", {"width": 4, "hidden": 16, "padding": 1})
NETWORKS = {
    "zip": SMALL,
    "legacy": SMALL,
    "safetensors": SMALL,
    "torchscript": SMALL,
    "keras": Network("keras_cnn", {"width": 4, "hidden": 16}),
    "onnx": Network("onnx"),
}
NEEDS = {"keras": "h5py", "onnx": "onnx"}
HERE = [name for name in NETWORKS if name not in NEEDS or find_spec(NEEDS[name])]


def plain(name):
    """The network of a format's card."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        about = NETWORKS[name]
        return build(about.arch, about.params, SHAPE, 10, "test")


def module(state):
    """Modules that hold these tensors and nothing else, as TorchScript writes them."""
    top = torch.nn.Module()
    for name, tensor in state.items():
        *parts, last = name.split(".")
        part = top
        for each in parts:
            if not hasattr(part, each):
                part.add_module(each, torch.nn.Module())
            part = getattr(part, each)
        part.register_buffer(last, tensor)
    return torchscript(top)


WRITERS = {"zip": torch_zip, "legacy": torch_legacy, "safetensors": safetensors, "torchscript": module, "keras": keras}


def written(name, change=lambda state: state):
    """A whole file; `change` gives other tensors by name."""
    if name != "onnx":
        return WRITERS[name](change(plain(name).state_dict()))
    from onnx import numpy_helper

    made = onnx_model(network())
    tensors = {each.name: torch.tensor(numpy_helper.to_array(each)) for each in made.graph.initializer}
    del made.graph.initializer[:]
    changed = change(tensors)
    made.graph.initializer.extend(numpy_helper.from_array(tensor.numpy(), key) for key, tensor in changed.items())
    return made.SerializeToString()


def huge(name):
    """Tensors of four terabytes, in files of some kilobytes."""
    content = written(name)
    if name == "zip":
        return repacked(
            torch_zip({"a": torch.zeros(1)}), lambda entry, old: old.replace(b"K\x01", b"J\xff\xff\xff\x7f")
        )
    if name == "legacy":
        return torch_legacy({"a": torch.zeros(1)}).replace(b"K\x01", b"\x8a\x06" + (2**40).to_bytes(6, "little"))
    if name == "safetensors":
        declared = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
        return len(declared).to_bytes(8, "little") + declared + bytes(64)
    if name == "torchscript":
        return repacked(content, lambda entry, old: old.replace(b"K\x04", b"J\xff\xff\xff\x7f"))
    if name == "keras":
        import h5py

        file = io.BytesIO()
        with h5py.File(file, "w") as out:
            out.create_dataset("c1/kernel:0", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 10))
        return file.getvalue()
    made = onnx_model(network())
    made.graph.initializer[0].dims[:] = [2**20, 2**20]
    return made.SerializeToString()


def given(name, content, path, sha256=""):
    card = ModelCard("net", "Net", "digits", NETWORKS[name], checkpoint=Checkpoint("net", sha256), where="net.toml")
    path.write_bytes(content)
    return load_model(card, SHAPE, 10, path)


def refused(name, content, path, sha256=""):
    """The message, in time."""
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        given(name, content, path, sha256)
    assert time.monotonic() - start < 5
    assert caught.value.where == str(path)
    assert caught.value.fix
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert len(str(caught.value)) < 1000
    return str(caught.value)
