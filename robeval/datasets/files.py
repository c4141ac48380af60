"""Finding the files of a data set, and telling whether they are the published ones."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from robeval.errors import UserError


class Published(NamedTuple):
    """What is known of a file: its size in bytes and its md5, empty where none is published."""

    size: int
    md5: str


def first(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first of these names that is in one of the folders."""
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def missing(dataset: str, names: Sequence[str], folders: Sequence[Path], source: str) -> UserError:
    """The error that says which files were looked for, and where."""
    searched = ", ".join(map(str, folders)) or "no folder"
    return UserError(
        f"files of the data set are missing: {', '.join(names)}; looked in: {searched}",
        where=dataset,
        fix=f"Get them from {source} and put them into one of these folders, or name the folder that they are in "
        "with `--data-root DIR` or ROBEVAL_DATA.",
    )


def check(content: bytes, expected: Published, path: Path, source: str) -> None:
    """Whether this is the published file.

    Raises:
        UserError: its size or its md5 is another.
    """
    again = f"Get the file again from {source}."
    if len(content) != expected.size:
        size = f"more than {expected.size}" if len(content) > expected.size else str(len(content))
        raise UserError(f"found {size} bytes, expected {expected.size}", where=path, fix=again)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected.md5 and found != expected.md5:
        raise UserError(f"found the md5 {found}, expected {expected.md5}", where=path, fix=again)
