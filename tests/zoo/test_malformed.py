"""Files of weights of every format, made wrong in every way: one clear message, in time and in little memory."""

import hashlib
import io
import json
import random
import zipfile

import pytest
import torch
from malformed import HERE, WRITERS, given, huge, plain, refused, written
from weightfiles import SHAPE, network, onnx_model, repacked, torch_legacy, torch_zip

NEVER = "/nowhere/at/all"


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


ODD = {
    "sparse": lambda tensor: tensor.to_sparse(),
    "quantized": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
    "nested": lambda tensor: torch.nested.nested_tensor(list(tensor)),
    "on the device `meta`": lambda tensor: tensor.to("meta"),
    "complex numbers": lambda tensor: tensor.to(torch.complex64),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("writer", [torch_zip, torch_legacy])
@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_are_no_plain_ones_are_named(kind, writer, tmp_path):
    state = plain("zip").state_dict()
    name = next(name for name, tensor in state.items() if tensor.ndim == 2)
    if kind == "nested" and writer is torch_legacy:
        return  # torch does not write them so
    state[name] = ODD[kind](state[name])
    assert kind in refused("zip", writer(state), tmp_path / "net")


def test_what_else_is_saved_beside_weights_is_no_harm(tmp_path):
    net = plain("zip")
    optimiser = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    net(torch.zeros(2, *SHAPE)).sum().backward()
    optimiser.step()
    plan = torch.optim.lr_scheduler.MultiStepLR(optimiser, [3, 3, 5])
    more = {"plan": plan.state_dict(), "size": torch.Size([1, 2]), "kind": torch.float16, "set": {1, "b"}, "b": b"xyz"}
    saved = {
        "state_dict": net.state_dict(),
        "optimizer": optimiser.state_dict(),
        "parameter": next(net.parameters()),
        **more,
    }
    for writer in (torch_zip, torch_legacy):
        given("zip", writer(saved), tmp_path / "net")
