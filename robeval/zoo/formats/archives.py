"""Zip archives that torch writes."""

import zipfile
from pathlib import Path

from robeval.zoo.formats.refusals import damaged


def is_archive(head: bytes) -> bool:
    """Whether a file that begins like this is a zip archive."""
    return head.startswith(b"PK")


def written_by(head: bytes, path: Path) -> str:
    """Who wrote the zip archive, by the names in it: "torch.save" if they do not tell; "" if it is no archive."""
    if not is_archive(head):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        names = []
    if any(name.endswith(".index") for name in names):
        return "TensorFlow"
    return "TorchScript" if any("/code/" in name for name in names) else "torch.save"


def opened(path: Path) -> zipfile.ZipFile:
    """The archive, whose entries hold no more than the file: torch writes tensors without compression.

    Its entries are read by name, and never written anywhere, so that it does not matter what their names say.

    Raises:
        UserError: it is damaged, or would unpack to more than that.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise damaged(path, str(error)) from None
    # Where one archive is inside another, readers differ in which they see: torch might read what was not looked at.
    if archive.comment or min((entry.header_offset for entry in archive.infolist()), default=0):
        archive.close()
        raise damaged(path, "it has something in front of its entries, or behind them")
    # TorchScript packs its code, which is never read; a folder elsewhere that is called so may hide a bomb.
    tensors = [entry for entry in archive.infolist() if entry.filename.split("/")[1:2] != ["code"]]
    declared = sum(entry.file_size for entry in tensors)
    if declared > path.stat().st_size:
        archive.close()
        raise damaged(path, f"its entries declare {declared} bytes")
    return archive
