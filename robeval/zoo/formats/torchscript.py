"""TorchScript archives: the weights alone. The code in them is not even looked at.

`data.pkl` describes the module as a tree of objects with attributes. Its instructions are followed one by one: classes
are no more than names, and all that is ever made of a name is a tensor over an entry `data/<key>`.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.zoo.formats import archives
from robeval.zoo.formats.instructions import Holder, Machine, Name, RefusedError
from robeval.zoo.formats.refusals import SAFE, brief, damaged, needs_code
from robeval.zoo.formats.registry import file_format

KINDS = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
# Around lists and dictionaries, whose types they tell.
TYPED = ("torch.jit._pickle build_", "torch.jit._pickle restore_type_tag")
MOST, DEEPEST = 100_000, 32  # parts of a module, and of those inside each other


@file_format("TorchScript archive", lambda head, path: archives.written_by(head, path) == "TorchScript")
def read(path: Path) -> object:
    """The tensors of the module and its parts, by the names that its `state_dict` would give them.

    Raises:
        UserError: the archive is cut or damaged, holds no tensors, or more than TorchScript writes.
    """
    with archives.opened(path) as archive:
        try:
            weights = dict(_tensors(_module(archive)))
        except RefusedError as refused:
            raise needs_code(path, str(refused).replace(" ", ".")) from None
        except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
            raise damaged(path, brief(error)) from None
    if not weights:
        found = "there are no weights of a network in this TorchScript archive: it was frozen, or has none"
        raise UserError(found, where=path, fix=SAFE)
    return weights


def _module(archive: zipfile.ZipFile) -> Holder:
    root = archive.namelist()[0].split("/")[0]
    order = f"{root}/byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise ValueError("its numbers are not little-endian")
    known: dict[str, Tensor] = {}

    def storage(_: str, kind: Name, key: str, device: str, count: int) -> Tensor:
        """The numbers of one entry, one-dimensional; tensors may share them."""
        if key not in known:
            content = bytearray(archive.read(f"{root}/data/{key}"))
            dtype = KINDS[kind.text]
            known[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return known[key]

    module = Machine(_make, storage, lambda name: name.startswith("__torch__")).follow(archive.read(f"{root}/data.pkl"))
    if not isinstance(module, Holder):
        raise TypeError("it does not describe a module")
    return module


def _make(name: str, arguments: Any) -> object:
    if name == "torch._utils _rebuild_tensor_v2":
        return _tensor(*arguments)
    if name == "collections OrderedDict":  # a tensor's hooks, of which there are none
        return {}
    if name.startswith(TYPED):
        return arguments[0]
    raise RefusedError(name)


def _tensor(storage: Tensor, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> Tensor:
    """A tensor over a storage, as `torch.save` and TorchScript describe one."""
    count = torch.Size(shape).numel()
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or max(count, last + 1) > len(storage):
        raise ValueError("it declares tensors that it does not hold")
    return storage.as_strided(shape, strides, offset)


def _tensors(module: Holder) -> Iterator[tuple[str, Tensor]]:
    """Every tensor among the attributes of a module and its parts, parts that occur twice under both names."""
    waiting, seen = [("", 0, module)], 0
    while waiting:
        prefix, depth, part = waiting.pop()
        seen += len(part.attributes)
        if depth > DEEPEST or seen > MOST:
            raise RecursionError(f"a module with more than {MOST} parts, or more than {DEEPEST} inside each other")
        for name, value in part.attributes.items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
        held = [(name, value) for name, value in part.attributes.items() if isinstance(value, Holder)]
        waiting += [(f"{prefix}{name}.", depth + 1, value) for name, value in reversed(held)]
