"""Files of weights of every format, made wrong in every way: one clear message, in time and in little memory."""

import hashlib
import io
import json
import random
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec

import pytest
import torch
from weightfiles import SHAPE, network, onnx_model, repacked, safetensors, torch_legacy, torch_zip, torchscript

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
NEVER = "/nowhere/at/all"


def plain(name):
    """The network of a format's card."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        about = NETWORKS[name]
        return build(about.arch, about.params, SHAPE, 10, "test")


def keras(state):
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        for name, tensor in state.items():
            layer, kind = name.rsplit(".", 1)
            turned = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor
            out[f"{layer}/{layer}/{'kernel' if kind == 'weight' else kind}:0"] = turned.numpy()
    return file.getvalue()


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


def cut(name):
    content = written(name)
    return content[: 2 * len(content) // 3]


def stump(name):
    return written(name)[:41]


def renamed(name):
    return written(name, lambda state: {f"other.{key}": tensor for key, tensor in state.items()})


def reshaped(name):
    return written(name, lambda state: {key: torch.cat([tensor, tensor]) for key, tensor in state.items()})


def doubled(name):
    """Another file of the same format behind the first."""
    return written(name) + written(name)[100:]


def nonsense(name):
    nested = {"state_dict": {"state_dict": [[{"a": {"b": [1, None, "x"]}}]]}}
    if name in ("zip", "legacy"):
        return WRITERS[name](nested)
    if name == "safetensors":
        text = json.dumps({"a": {"dtype": [], "shape": {"x": [[]]}, "data_offsets": "no"}}).encode()
        return len(text).to_bytes(8, "little") + text
    if name == "torchscript":
        return repacked(written(name), lambda entry, old: b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".")
    if name == "keras":
        return written(name)[:3000] + bytes(range(256)) * 40
    return b"\x08\x08" + b"\x3a\xff\x7f" * 300


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


def elsewhere(name):
    """Names that lead out of the file."""
    content = written(name)
    if name in ("zip", "torchscript"):
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
            for entry in old.namelist():
                new.writestr(f"../../../..{NEVER}/{entry}", old.read(entry))
        return file.getvalue()
    if name == "keras":
        import h5py

        file = io.BytesIO()
        with h5py.File(file, "w") as out:
            out["c1"] = h5py.ExternalLink(NEVER, "/")
        return file.getvalue()
    if name == "onnx":
        made = onnx_model(network())
        made.graph.initializer[0].data_location = 1
        made.graph.initializer[0].external_data.add(key="location", value=NEVER)
        return made.SerializeToString()
    return written(name, lambda state: {f"../../../..{NEVER}/{key}": tensor for key, tensor in state.items()})


def empty(name):
    return b""


def page(name):
    return b"<!DOCTYPE html><html>" + written(name)


def pointer(name):
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1432985\n"


VARIANTS = [cut, stump, renamed, reshaped, doubled, nonsense, huge, elsewhere, empty, page, pointer]


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


@pytest.mark.parametrize("name", HERE)
def test_the_whole_file_is_read(name, tmp_path):
    content = written(name)
    digest = hashlib.sha256(content).hexdigest()
    assert given(name, content, tmp_path / "net", digest).module(torch.rand(2, *SHAPE)).shape == (2, 10)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
@pytest.mark.parametrize("name", HERE)
def test_what_is_wrong_is_one_message(name, variant, tmp_path):
    content = variant(name)
    digest = hashlib.sha256(written(name)).hexdigest()
    message = refused(name, content, tmp_path / "net", digest)
    if variant in (renamed, reshaped) and name != "onnx":
        assert "the weights do not fit the network" in message
    if variant in (cut, stump, huge):
        assert "cut or damaged" in message or "no file of weights" in message


@pytest.mark.parametrize("name", HERE)
def test_flipped_bits_are_never_a_crash(name, tmp_path):
    """The numbers may be others then, which the checksum of the card says."""
    content = written(name)
    digest = hashlib.sha256(content).hexdigest()
    draw = random.Random(name)
    # Half of them at the ends, where formats keep what they say about themselves.
    places = [draw.randrange(len(content)) for _ in range(15)]
    places += [draw.randrange(256) for _ in range(10)] + [len(content) - 1 - draw.randrange(600) for _ in range(10)]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        refused(name, bytes(flipped), tmp_path / "net", digest)


MEASURE = """
import resource, sys
from pathlib import Path
from robeval.errors import UserError
from robeval.zoo import checkpoints
from robeval.zoo.formats.registry import catalog
catalog()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        checkpoints.read(Path(path))
    except UserError:
        continue
    raise SystemExit(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_what_declares_terabytes_takes_no_memory(tmp_path):
    pytest.importorskip("resource")
    paths = [tmp_path / name for name in HERE if name != "onnx"]  # whose numbers are looked at when it is computed
    for path in paths:
        path.write_bytes(huge(path.name))
    command = [sys.executable, "-c", MEASURE, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) < 300_000, "kilobytes"
