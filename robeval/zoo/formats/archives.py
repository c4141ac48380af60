"""Zip archives that torch writes."""

import io
import zipfile
from pathlib import Path

from robeval.zoo.formats.refusals import damaged


def is_archive(head: bytes) -> bool:
    """Whether a file that begins like this is a zip archive."""
    return head.startswith(b"PK")


def has_code(path: Path) -> bool:
    """Whether the archive is one that TorchScript wrote; of a damaged one, no."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return False


def opened(data: bytes, path: Path) -> zipfile.ZipFile:
    """The archive, whose entries hold no more than the file: torch writes tensors without compression.

    Its entries are read by name, and never written anywhere, so that it does not matter what their names say.

    Raises:
        UserError: it is damaged, or would unpack to more than that.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise damaged(path, data, str(error)) from None
    tensors = [entry for entry in archive.infolist() if "/code/" not in entry.filename]
    declared = sum(entry.file_size for entry in tensors)
    if declared > len(data):
        raise damaged(path, data, f"its entries declare {declared} bytes")
    return archive
