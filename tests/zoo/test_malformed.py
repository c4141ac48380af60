"""Files of weights of every format, made wrong in every way: one clear message, in time and in little memory."""

import hashlib
import io
import json
import os
import random
import time
import zipfile
from importlib.util import find_spec
from itertools import pairwise

import pytest
import torch
from peak import peak
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
NEVER = "/nowhere/at/all"


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


def described(body, entries):
    """A TorchScript archive whose module these pickle instructions describe."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("archive/data.pkl", b"\x80\x02c__torch__\nM\n)\x81q\x00" + body + b".")
        out.writestr("archive/code/__torch__.py", b"")
        for name, content in entries.items():
            out.writestr(f"archive/{name}", content, zipfile.ZIP_DEFLATED, 1)
    return file.getvalue()


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def packed_tensor():
    """A tensor whose numbers, packed, lie in a folder that is called as that of the code."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("code/0") + text("cpu") + b"K\x01tQ"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89}tR"
    return described(b"}" + text("w") + made + b"sb", {"data/code/0": bytes(400 << 20)})


def own_part():
    """A module that is a part of itself, under a long name."""
    return described(b"}" + text("n" * 1000) + b"h\x00sb", {})


def own_parts():
    """A module that is three thousand parts of itself."""
    return described(b"}(" + b"".join(text(f"n{i}") + b"h\x00" for i in range(3000)) + b"ub", {})


def linked(fill):
    """An HDF5 file with several names for one thing."""
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        fill(out)
    return file.getvalue()


def one_array():
    def fill(out):
        array = out.create_dataset("c/kernel:0", data=torch.zeros(3, 3, 100, 1000).numpy())
        for i in range(300):
            out[f"c{i}/kernel:0"] = array

    return linked(fill)


def many_ways():
    def fill(out):
        groups = [out.create_group(f"g{i}") for i in range(14)]
        for above, below in pairwise(groups):
            for name in "abcdefgh":
                above[name] = below

    return linked(fill)


def repeated(*shape):
    """One number that is said to be many."""
    return torch.zeros(1).expand(*shape)


def alike():
    """Two networks that take hours to compare."""
    return torch_zip({name: {"w": repeated(2**16, 2**18)} for name in ("state_dict", "net")})


def vast_copy():
    return torch_legacy({"attacker.model.w": repeated(2**40), "model.w": repeated(2**40)})


def vast_mean():
    return torch_zip(plain("zip").state_dict() | {"mean": repeated(2**40), "std": repeated(2**40)})


def long_mean():
    return torch_zip(plain("zip").state_dict() | {"mean": torch.zeros(2**10), "std": torch.ones(2**10)})


def pickled(body):
    """What these pickle instructions describe, under "a" in a dictionary, as torch.save writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("archive/data.pkl", b"\x80\x02}" + text("a") + body + b"s.")
        out.writestr("archive/version", "3\n")
    return file.getvalue()


COUNT = b"\x8a\x05" + (1 << 32).to_bytes(5, "little")


def bytes_by_number():
    return pickled(b"cbuiltins\nbytearray\n" + COUNT + b"\x85R")


def bytes_by_number_of_old():
    return torch_legacy({}).replace(b"}q\x00.", b"c__builtin__\nbytearray\n" + COUNT + b"\x85R.", 1)


def tensor_by_number():
    return pickled(b"ctorch\nTensor\n" + COUNT + b"\x85R")


def storage_by_number():
    return pickled(b"ctorch.storage\nUntypedStorage\n" + COUNT + b"\x85R")


def tuples_for_key():
    """Each holds the last one twice: to look one up is to walk through a trillion."""
    nested = b")" + b"".join(bytes([0x71, k, 0x68, k, 0x86]) for k in range(40))
    return pickled(b"}" + nested + b"K\x01s")


def tuples_for_key_of_script():
    nested = b")" + b"".join(bytes([0x71, k, 0x68, k, 0x86]) for k in range(1, 41))
    return described(b"}" + nested + b"K\x01sb", {})


def copies():
    """One list of a hundred thousand, copied a hundred thousand times."""
    made = b"ccollections\nCounter\nq\x01](" + 10**5 * b"N" + b"e\x85q\x02R"
    return pickled(b"](" + made + 10**5 * b"h\x01h\x02R" + b"e")


def many_names_of_one():
    """Four million numbers, under names that differ in the case of their letters."""
    file = io.BytesIO()
    keys = [f"{i:06b}".replace("0", "a").replace("1", "A") for i in range(64)]
    storages = [b"((" + text("storage") + b"ctorch\nByteStorage\n" + text(key) for key in keys]
    ends = text("cpu") + b"J" + (1 << 22).to_bytes(4, "little") + b"tQK\x00K\x01\x85K\x01\x85\x89}t"
    made = b"".join(b"ctorch._utils\n_rebuild_tensor_v2\n" + each + ends + b"R" for each in storages)
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("archive/data.pkl", b"\x80\x02}" + text("a") + b"](" + made + b"es.")
        out.writestr("archive/data/aaaaaa", bytes(1 << 22))
    return file.getvalue()


def two_descriptions():
    file = io.BytesIO(torch_zip({}))
    with zipfile.ZipFile(file, "a") as out:
        out.writestr("ARCHIVE/DATA.PKL", b"\x80\x02}.")
    return file.getvalue()


def deep_stack():
    """Marks on a stack of hundreds of thousands."""
    return described(b"}" + text("w") + b"(" + 150_000 * b"N" + 150_000 * b"(t" + b"tsb", {})


def behind_another():
    return torch_zip({}) + torch_zip({"w": torch.zeros(1)})


def with_comment():
    file = io.BytesIO(torch_zip({}))
    with zipfile.ZipFile(file, "a") as out:
        out.comment = b"a comment"
    return file.getvalue()


def many_instructions():
    return pickled(b"(" + 600_000 * b"N" + b"t")


def many_names():
    """Sixty thousand tensors without a number."""
    table = {f"layer{i}.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}
    header = json.dumps(table).encode()
    return len(header).to_bytes(8, "little") + header


def many_short_names():
    table = {f"{i:x}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(25_000)}
    header = json.dumps(table, separators=(",", ":")).encode()
    return len(header).to_bytes(8, "little") + header


def many_nodes():
    made = onnx_model(network())
    node = made.graph.node[2]
    made.graph.node.extend([node] * 30_000)
    return made.SerializeToString()


def many_initializers():
    made = onnx_model(network())
    made.graph.initializer.extend([made.graph.initializer[0]] * 20_000)
    return made.SerializeToString()


ONNX = (many_nodes, many_initializers)


SMALL_BUT = {
    bytes_by_number: "more than tensors and plain values (builtins.bytearray)",
    bytes_by_number_of_old: "more than tensors and plain values (__builtin__.bytearray)",
    tensor_by_number: "more than tensors and plain values (torch.Tensor)",
    storage_by_number: "more than tensors and plain values (torch.storage.UntypedStorage)",
    tuples_for_key: "keys that are neither texts nor plain numbers",
    tuples_for_key_of_script: "keys that are neither texts nor plain numbers",
    copies: "it copies more than",
    many_names_of_one: "declares tensors that it does not hold",
    many_names: "bytes, more than any network needs",
    many_short_names: "it holds 25000 tensors, more than any network",
    many_nodes: "it describes a network of 30006 parts",
    many_initializers: "it describes a network of 20008 parts",
    two_descriptions: "it has 2 entries data.pkl",
    behind_another: "something in front of its entries",
    with_comment: "something in front of its entries",
    deep_stack: "there are no weights",
    many_instructions: "described in more than",
    packed_tensor: "cut or damaged: its entries declare",
    own_part: "more than 32 inside each other",
    own_parts: "more than 100000 parts",
    one_array: "a second name of something in it",
    many_ways: "a second name of something in it",
    alike: "declares tensors that it does not hold",
    vast_copy: "declares tensors that it does not hold",
    vast_mean: "declares tensors that it does not hold",
    long_mean: "its input layer has 1024 numbers in 'mean', expected one for each channel",
}
LACKING = (*(() if find_spec("h5py") else (one_array, many_ways)), *(() if find_spec("onnx") else ONNX))


@pytest.mark.parametrize("make", [make for make in SMALL_BUT if make not in LACKING], ids=lambda make: make.__name__)
def test_small_files_that_ask_for_much_are_refused_at_once(make, tmp_path):
    assert SMALL_BUT[make] in refused("zip", make(), tmp_path / "net")


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


# How large files begin that are none of weights, with what a reader would first believe.
LARGE = {
    "stranger": b"abcdefgh",
    "net.pt": b"\x80\x02}.",
    "saved.pt": torch_legacy({})[:-40],
    "net.safetensors": (1 << 20).to_bytes(8, "little") + b"{",
    "net.onnx": b"\x08\x08\x12\x00",
}


def test_what_declares_or_is_much_takes_no_memory(tmp_path):
    pytest.importorskip("resource")
    paths = [tmp_path / name for name in HERE if name != "onnx"]  # whose numbers are looked at when it is computed
    for path in paths:
        path.write_bytes(huge(path.name))
    for make in (packed_tensor, own_part, own_parts, one_array, many_ways, alike):
        if make not in LACKING:
            paths.append(tmp_path / make.__name__)
            paths[-1].write_bytes(make())
    for name, head in LARGE.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(head)
        os.truncate(paths[-1], 3 << 30)  # of which the disk holds the beginning alone
    (tmp_path / "first").write_bytes(written("zip"))
    grown, read = peak(tmp_path / "first", paths)
    assert read == []
    assert grown < 300_000
