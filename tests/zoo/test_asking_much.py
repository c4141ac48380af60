"""Small files that ask for much memory or time, and large ones of no weights: refused at once, in little memory."""

import io
import json
import os
import zipfile
from importlib.util import find_spec
from itertools import pairwise

import pytest
import torch
from malformed import HERE, huge, plain, refused, written
from peak import peak
from weightfiles import network, onnx_model, torch_legacy, torch_zip


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
