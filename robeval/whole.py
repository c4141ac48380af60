"""Writing a file whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from robeval.errors import UserError


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a crash at any moment leaves the old file or the new one, never a part. A file
    that has this content already is left alone, also in a folder that is read-only.

    Raises:
        UserError: the folder is read-only, full or otherwise not writable; nothing is left behind.
    """
    with suppress(OSError):
        if path.read_bytes() == content:
            return
    # Dot files are skipped by readers of the whole folder.
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"it cannot be written: {error.strerror or error}",
            where=path,
            fix="Make room or give a writable folder with --out; all that was finished before is kept.",
        ) from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
