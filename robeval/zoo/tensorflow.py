"""TensorFlow's checkpoints of version 2 ("bundles"), read without TensorFlow; nothing in them is executed.

`X.index` is a sorted table from a variable's name to a BundleEntryProto (TensorFlow,
core/protobuf/tensor_bundle.proto), which says where its numbers lie in `X.data-00000-of-00001`. The graph in `X.meta`
is not needed and never opened. Whatever an index declares is held against the files before it is believed.
"""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from typing import IO, Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from robeval.errors import UserError
from robeval.zoo.sorted_table import DamagedError, Fields, fields, number, rows, unmask
from robeval.zoo.variables import MEMORY

LONGEST = 1 << 20  # bytes of an index; that of Madry's CIFAR-10 network with its optimiser has 20 thousand
MOST = 2_000  # variables, of which each takes its time; that network has three hundred
FARTHEST = 1 << 62  # no file is that long
PIECE = 1 << 22  # bytes that are read at once
SPARE = 1 << 20  # bytes that a data file may have behind its variables
OUTSIDE = "lies outside the data files, or on top of others"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # a text that TensorFlow 2 adds; no variable
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}


def read(folder: Traversable, prefix: str) -> dict[str, NDArray[Any]]:
    """Every variable of the checkpoint `prefix`, by name, with its axes in torch's order.

    Kernels (height, width, in, out) become (out, in, height, width), matrices (in, out) become (out, in). What an
    optimiser remembers is not read: zeros stand for it, in TensorFlow's order.

    Raises:
        UserError: a file is missing, cut, damaged, or of a kind that is not read here.
    """
    with _reading(folder, prefix):
        header, entries = _index(folder, prefix)
        return _variables(_shards(folder, prefix, header), entries)


def files(folder: Traversable, prefix: str) -> list[Traversable]:
    """The index and the data files, in order.

    Raises:
        UserError: as in `read`, apart from what is wrong with single variables.
    """
    with _reading(folder, prefix):
        return [folder / f"{prefix}.index", *_shards(folder, prefix, _index(folder, prefix)[0])]


@contextmanager
def _reading(folder: Traversable, prefix: str) -> Iterator[None]:
    try:
        yield
    except DamagedError as wrong:
        found = f"this TensorFlow checkpoint cannot be read: {wrong}"
        fix = "Get its .index and .data files again, from the same place, and keep them in one folder."
        raise UserError(found, where=folder / f"{prefix}.index", fix=fix) from None


def _index(folder: Traversable, prefix: str) -> tuple[Fields, dict[str, bytes]]:
    """The header, and the message about each variable."""
    with (folder / f"{prefix}.index").open("rb") as file:
        table = file.read(LONGEST + 1)
    if len(table) > LONGEST:
        raise DamagedError(f"the index is longer than {LONGEST} bytes")
    entries = {name.decode(errors="backslashreplace"): message for name, message in rows(table)}
    if "" not in entries:
        raise DamagedError("the index has no header")
    header = fields(entries.pop(""))
    if len(entries) > MOST:
        raise DamagedError(f"the index names {len(entries)} variables; {MOST} are the most that are read here")
    return header, entries


def _shards(folder: Traversable, prefix: str, header: Fields) -> list[Traversable]:
    """The data files."""
    if number(header, 2) != 0:
        raise DamagedError("its numbers are big-endian")
    count, found = number(header, 1), []
    for shard in range(count):
        found.append(folder / f"{prefix}.data-{shard:05d}-of-{count:05d}")
        if not found[-1].is_file():
            raise DamagedError(f"its data file {found[-1].name[-90:]} is not there")
    return found


class _Entry(NamedTuple):
    """Where a variable's numbers lie, and what they are."""

    shard: int
    start: int
    size: int
    name: str
    kind: int
    shape: list[int]
    checksum: object


def _entry(name: str, message: bytes) -> _Entry:
    """What the index says of a variable, its type, shape and size being right."""
    entry, said = fields(message), repr(name[:60])
    kind, shard, start, size = (number(entry, field) for field in (1, 3, 4, 5))
    if name == GRAPH:
        return _Entry(shard, start, size, name, kind, [], b"")
    shape = [number(fields(size), 1) for each in entry.get(2, ()) for size in fields(each).get(2, ())]
    if kind not in TYPES or 7 in entry:
        raise DamagedError(f"{said} is stored in slices, or is not of plain numbers")
    if len(shape) > 8 or not size or size != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise DamagedError(
            f"{said} declares {size} bytes, which its shape {'x'.join(map(str, shape[:8]))} does not take"
        )
    return _Entry(shard, start, size, name, kind, shape, entry.get(6, [b""])[-1])


def _variables(shards: list[Traversable], entries: dict[str, bytes]) -> dict[str, NDArray[Any]]:
    """The numbers of each variable, its declared place and checksum being right.

    They are read in the order in which they lie, one at a time: an archive can only be read forward.
    """
    found: dict[str, NDArray[Any]] = {}
    waiting = deque(sorted(_entry(name, message) for name, message in entries.items()))
    for place, shard in enumerate(shards):
        end = 0
        with shard.open("rb") as file:
            while waiting and waiting[0].shard == place:
                entry = waiting.popleft()
                if entry.start < end:
                    raise DamagedError(f"{entry.name[:60]!r} {OUTSIDE}")
                end = entry.start + entry.size
                if entry.name != GRAPH:
                    found[entry.name] = _numbers(file, entry)
            file.seek(end + SPARE)
            if file.read(1):
                raise DamagedError(f"{shard.name[-90:]} is longer than the index says")
    if waiting:
        raise DamagedError(f"{waiting[0].name[:60]!r} {OUTSIDE}")
    return {name: found[name] for name in entries if name in found}


def _numbers(file: IO[bytes], entry: _Entry) -> NDArray[Any]:
    """The numbers of one variable."""
    if MEMORY.fullmatch(entry.name):
        # Half of a checkpoint, and no network takes it: that it is there is all there is to know.
        _stored(file, entry.start + entry.size - 1, 1, entry.name)
        return as_strided(np.zeros((), TYPES[entry.kind]), entry.shape, [0] * len(entry.shape))
    stored = _stored(file, entry.start, entry.size, entry.name)
    if google_crc32c.value(stored) != unmask(entry.checksum):
        raise DamagedError(f"the checksum of {entry.name[:60]!r} is wrong")
    numbers = np.frombuffer(stored, TYPES[entry.kind]).reshape(entry.shape)
    return (np.moveaxis(numbers, (-1, -2), (0, 1)) if len(entry.shape) > 1 else numbers).copy()


def _stored(file: IO[bytes], start: int, size: int, name: str) -> bytes:
    """So many bytes, piece by piece: more may be declared than there is, or than memory takes."""
    found = bytearray()
    if start + size < FARTHEST:
        file.seek(start)
        while len(found) < size and (piece := file.read(min(size - len(found), PIECE))):
            found += piece
    if len(found) < size:
        raise DamagedError(f"{name[:60]!r} {OUTSIDE}")
    return bytes(found)
