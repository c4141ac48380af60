"""What `torch.save` writes: since 2020 a zip archive, before that a pickle followed by raw numbers."""

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.zoo.formats import archives, foreseen
from robeval.zoo.formats.instructions import RefusedError
from robeval.zoo.formats.refusals import SAFE, brief, damaged, needs_code
from robeval.zoo.formats.registry import file_format

LONGEST = 1 << 24  # bytes in which everything but numbers is described
PICKLES = 5  # of them without an archive: two marks, a system, what was saved, the order of the numbers
REPEATED = 1 << 16  # bytes that a tensor may declare in any case: a few repeated numbers are no harm


@file_format("torch.save, zip archive", lambda head, path: archives.written_by(head, path) == "torch.save")
def read_archive(path: Path) -> object:
    """What was saved, as far as it is tensors and plain values.

    Raises:
        UserError: the archive is cut, damaged or another program's, or holds what would have to execute code.
    """
    with archives.opened(path) as archive:
        # torch looks for the name without regard to its case.
        described = [entry for entry in archive.infolist() if entry.filename.lower().endswith("data.pkl")]
        if not described:
            raise UserError("this is a zip archive, but torch.save did not write it", where=path, fix=SAFE)
        if len(described) > 1:
            raise damaged(path, f"it has {len(described)} entries data.pkl")
        with _reading(path), archive.open(described[0]) as file:
            _foresee(file, 1, path)
    return _load(path)


@file_format("torch.save, before 2020 (pickle)", lambda head, path: head.startswith(b"\x80"))
def read_pickle(path: Path) -> object:
    """What was saved, as far as it is tensors and plain values.

    Raises:
        UserError: the file is cut or damaged, or holds what would have to execute code.
    """
    with _reading(path), path.open("rb") as file:
        _foresee(file, PICKLES, path)
    return _load(path)


def _foresee(file: IO[bytes], count: int, path: Path) -> None:
    foreseen.refuse(BytesIO(file.read(LONGEST)), count, path.stat().st_size)


def _load(path: Path) -> object:
    """`weights_only` refuses everything but tensors and plain values, and executes nothing."""
    # The warnings are about what is refused below.
    with _reading(path), path.open("rb") as file, warnings.catch_warnings(action="ignore", category=UserWarning):
        loaded = torch.load(file, map_location="cpu", weights_only=True)
        _refuse_hollow(loaded)
        return loaded


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except foreseen.OddError as odd:
        found = f"this file holds tensors that are {odd}, and networks here are of plain ones"
        raise UserError(
            found, where=path, fix="Save plain tensors: `.to_dense()` or `.dequantize()` makes them."
        ) from None
    except RefusedError as refused:
        raise needs_code(path, str(refused)[:80].replace(" ", ".")) from None
    except pickle.UnpicklingError as error:
        name = re.search(r"(?:GLOBAL|Unsupported class|instantiate) ([\w.]+)", str(error))
        raise needs_code(path, name[1] if name else "") from None
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, brief(error)) from None


def _refuse_hollow(value: object) -> None:
    """Complain of tensors that repeat few numbers very often: to look at one takes as long as it declares."""
    waiting, met = [value], set[int]()  # what was saved may hold itself
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor) and each.layout == torch.strided:
            if each.numel() * each.element_size() > max(each.untyped_storage().nbytes(), REPEATED):
                raise ValueError("it declares tensors that it does not hold")
        elif isinstance(each, Mapping | list | tuple) and id(each) not in met:
            met.add(id(each))
            waiting += each.values() if isinstance(each, Mapping) else each
