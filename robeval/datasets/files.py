"""Finding the files of a data set, fetching them, and telling whether they are the published ones."""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from robeval.errors import UserError
from robeval.fetch.download import recorded
from robeval.shelf import reading
from robeval.values.remote import Remote

LARGEST = 1 << 31  # bytes of a file whose size is not published


class Published(NamedTuple):
    """What is known of a file: its size in bytes, 0 where none is published, and its md5, empty where none is."""

    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file of a data set on the web.

    Attributes:
        folder: where it belongs, below a data folder.
        take: patterns of the entries that are wanted of an archive; empty if it is none.
    """

    remote: Remote
    folder: str
    take: tuple[str, ...] = ()


class MissingError(UserError):
    """Files of a data set are not here."""


def first(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first of these names that is in one of the folders."""
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def missing(
    dataset: str, names: Sequence[str], folders: Sequence[Path], source: str, *, fetched: bool = True
) -> MissingError:
    """The error that says which files were looked for, and where; `fetched` if robeval can fetch them."""
    searched = ", ".join(map(str, folders)) or "no folder"
    get = f"Run `robeval data fetch {dataset}`, or get them from {source}" if fetched else f"Get them from {source}"
    return MissingError(
        f"files of the data set are missing: {', '.join(names)}; looked in: {searched}",
        where=dataset,
        fix=f"{get} and put them into one of these folders, or name the folder that they are in with "
        "`--data-root DIR` or ROBEVAL_DATA.",
    )


def damaged(path: Path, found: str, source: str) -> UserError:
    """The error of a file that is not what it should be."""
    return UserError(found, where=path, fix=f"Get the file again from {source}.")


def content(path: Path, expected: Published, source: str) -> bytes:
    """A file's bytes, which have the published size and md5.

    Raises:
        UserError: they have not, or the file cannot be read.
    """
    with reading(path), path.open("rb") as file:
        found = file.read((expected.size or LARGEST) + 1)
    check(found, expected, path, source)
    return found


def unzipped(path: Path, size: int, source: str) -> bytes:
    """A file that may be gzip, uncompressed; of one that is larger than `size` only one byte more than that.

    Raises:
        UserError: it cannot be read, or the gzip file is cut or damaged.
    """
    with reading(path), path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return file.read(size + 1)
        file.seek(0)
        try:
            with gzip.open(file) as plain:
                return plain.read(size + 1)
        except (EOFError, OSError, zlib.error) as error:
            found = f"the gzip file ({path.stat().st_size} bytes) is cut or damaged: {error}"
            raise damaged(path, found, source) from None


def check(content: bytes, expected: Published, path: Path, source: str) -> None:
    """Whether this is the published file.

    Raises:
        UserError: its size or its md5 is another.
    """
    largest = expected.size or LARGEST
    if len(content) > largest or (expected.size and len(content) != expected.size):
        size = f"more than {largest}" if len(content) > largest else str(len(content))
        raise damaged(path, f"found {size} bytes, expected {expected.size or 'fewer'}", source)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if expected.md5 and found != expected.md5:
        raise damaged(path, f"found the md5 {found}, expected {expected.md5}", source)


def refuse_altered(path: Path, source: str) -> None:
    """A file that is no longer the one that was fetched, where its checksum was recorded then.

    Raises:
        UserError: it has another.
    """
    known = recorded(path)
    with reading(path), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if known else ""
    if found != known:
        raise damaged(path, f"found the sha256 {found}, but {known} when it was first fetched", source)


def refuse_labels(y: Sequence[int], num_classes: int, path: Path, source: str) -> None:
    """Labels that are no class.

    Raises:
        UserError: names the first.
    """
    for place, label in enumerate(y):
        if not 0 <= label < num_classes:
            found = f"image {place} has the label {label}, expected 0 to {num_classes - 1}"
            raise damaged(path, found, source)
