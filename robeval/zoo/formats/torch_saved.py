"""What `torch.save` writes: since 2020 a zip archive, before that a pickle followed by raw numbers."""

import io
import pickle
import re
import warnings
from pathlib import Path

import torch

from robeval.errors import UserError
from robeval.zoo.formats import archives
from robeval.zoo.formats.refusals import SAFE, brief, damaged, needs_code
from robeval.zoo.formats.registry import file_format


@file_format("torch.save, zip archive", lambda head, path: archives.written_by(head, path) == "torch.save")
def read_archive(data: bytes, path: Path) -> object:
    """What was saved, as far as it is tensors and plain values.

    Raises:
        UserError: the archive is cut, damaged or another program's, or holds what would have to execute code.
    """
    with archives.opened(data, path) as archive:
        if not any(name.endswith("data.pkl") for name in archive.namelist()):
            raise UserError("this is a zip archive, but torch.save did not write it", where=path, fix=SAFE)
    return _load(data, path)


@file_format("torch.save, before 2020 (pickle)", lambda head, path: head.startswith(b"\x80"))
def read_pickle(data: bytes, path: Path) -> object:
    """What was saved, as far as it is tensors and plain values.

    Raises:
        UserError: the file is cut or damaged, or holds what would have to execute code.
    """
    return _load(data, path)


def _load(data: bytes, path: Path) -> object:
    """`weights_only` refuses everything but tensors and plain values, and executes nothing."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # about what is refused below
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"(?:GLOBAL|Unsupported class|instantiate) ([\w.]+)", str(error))
        raise needs_code(path, name[1] if name else "") from None
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, data, brief(error)) from None
