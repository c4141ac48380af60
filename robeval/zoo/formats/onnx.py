"""ONNX: a network with its weights in one protocol buffer; here the weights, in `robeval/zoo/onnx/` the network."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robeval import shelf
from robeval.errors import UserError
from robeval.zoo.formats.refusals import absent, brief, damaged
from robeval.zoo.formats.registry import file_format

NAME = "ONNX"
_EXTERNAL = 1  # a tensor's data_location
LONGEST = 3_000  # nodes or tensors of a graph; the deepest networks have a thousand
LARGEST = 2**31 - 1  # bytes of a protocol buffer
_STRINGS = 8  # a tensor's data_type
_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"  # what may follow the version at the head of a model


def _begins(head: bytes, path: Path) -> bool:
    """A protocol buffer has no mark of its own: the first field of a model is a small version number."""
    return head[:1] == b"\x08" and (path.suffix == ".onnx" or (head[1:2] < b"\x20" and head[2:3] in _FIELDS))


@file_format(NAME, _begins)
def read(path: Path) -> object:
    """The floating-point tensors that the graph uses, by the names it gives them.

    Raises:
        UserError: as `parse`.
    """
    graph = parse(path).graph
    used = {name for node in graph.node for name in node.input}
    found = {each.name: tensor(each, path) for each in graph.initializer if each.name in used}
    return {name: numbers for name, numbers in found.items() if numbers.is_floating_point()}


def parse(path: Path) -> Any:
    """The `onnx.ModelProto` in a file. Nothing outside the file is read.

    Raises:
        UserError: the package onnx is not installed, the file is cut or damaged, or its weights are in other files.
    """
    try:
        import onnx
    except ImportError:
        raise absent(path, "the package onnx", "onnx") from None
    if path.stat().st_size > LARGEST:
        raise damaged(path, "no protocol buffer is that long")
    try:
        with shelf.reading(path):
            model = onnx.ModelProto.FromString(path.read_bytes())
    except UserError:
        raise
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, brief(error)) from None
    if not model.graph.node:
        raise damaged(path, "it describes no network")
    if (most := max(len(model.graph.node), len(model.graph.initializer))) > LONGEST:
        raise damaged(path, f"it describes a network of {most} parts; {LONGEST} are the most that are read here")
    if any(each.data_location == _EXTERNAL for each in _tensors(model.graph)):
        raise UserError(
            "the weights of this ONNX network are in other files, which are not read",
            where=path,
            fix="Save it as one file: onnx.save(onnx.load(FILE), NEW_FILE, save_as_external_data=False).",
        )
    return model


def tensor(described: Any, path: Path) -> Tensor:
    """A tensor of the file: float32 for floating point, int64 for whole numbers and truth values.

    Raises:
        UserError: it declares more numbers than the file holds, or is of another kind.
    """
    import onnx

    try:
        if (
            min(described.dims, default=0) < 0 or prod(described.dims) > 8 * path.stat().st_size
        ):  # eight to a byte at the least
            raise ValueError("it declares tensors that it does not hold")
        if described.data_type == _STRINGS:
            raise TypeError("it holds texts where numbers are expected")
        array = onnx.numpy_helper.to_array(described)
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, brief(error)) from None
    kind = np.int64 if array.dtype.kind in "biu" else np.float32
    return torch.from_numpy(np.array(array, kind))


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor of a graph: its own, and those in the attributes of its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
