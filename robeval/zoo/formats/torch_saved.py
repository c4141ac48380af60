"""What `torch.save` writes: since 2020 a zip archive, before that a pickle followed by raw numbers."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.zoo.formats import archives
from robeval.zoo.formats.refusals import SAFE, brief, damaged, needs_code
from robeval.zoo.formats.registry import file_format

REPEATED = 1 << 16  # bytes that a tensor may declare in any case: a few repeated numbers are no harm


@file_format("torch.save, zip archive", lambda head, path: archives.written_by(head, path) == "torch.save")
def read_archive(path: Path) -> object:
    """What was saved, as far as it is tensors and plain values.

    Raises:
        UserError: the archive is cut, damaged or another program's, or holds what would have to execute code.
    """
    with archives.opened(path) as archive:
        if not any(name.endswith("data.pkl") for name in archive.namelist()):
            raise UserError("this is a zip archive, but torch.save did not write it", where=path, fix=SAFE)
    return _load(path)


@file_format("torch.save, before 2020 (pickle)", lambda head, path: head.startswith(b"\x80"))
def read_pickle(path: Path) -> object:
    """What was saved, as far as it is tensors and plain values.

    Raises:
        UserError: the file is cut or damaged, or holds what would have to execute code.
    """
    return _load(path)


def _load(path: Path) -> object:
    """`weights_only` refuses everything but tensors and plain values, and executes nothing."""
    try:
        # The warnings are about what is refused below.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore", category=UserWarning):
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        _refuse_hollow(loaded)
        return loaded
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
