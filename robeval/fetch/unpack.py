"""Archives from the web: only the files that are wanted, and nothing outside the folder."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from robeval.errors import UserError

LARGEST = 100  # times its own size that an archive may unpack to; images and weights come to less than 10
ALWAYS = 1 << 26  # bytes that it may, whatever its size
MOST = 2_000_000  # entries

Place = Callable[[str], str | None]


class _Entry(NamedTuple):
    """A thing in an archive; `open` is None if it is no plain file."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None] | None


def unpack(archive: Path, place: Place, folder: Path) -> int:
    """Write the wanted files of a zip or tar archive into `folder`; how many they are.

    They are written beside the folder's files first and get their names once all are there.

    Args:
        place: from an entry's name to its path below `folder`, or None if it is not wanted.

    Raises:
        UserError: this is no archive, it is cut or damaged, a path in it leads out of the folder, a wanted entry is
            a link or a device, it unpacks to far more than its size, or nothing in it is wanted.
    """
    draft = folder / f".{archive.name}.unpacking"
    shutil.rmtree(draft, ignore_errors=True)
    count = 0
    try:
        with _reading(archive), _entries(archive) as entries:
            for entry in _harmless(archive, entries):
                if (target := place(entry.name)) is None:
                    continue
                _refuse_path(archive, target)
                _write(archive, entry, draft / target)
                count += 1
        if not count:
            raise _refused(archive, "none of the files that are wanted is in it")
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return count


def names(archive: Path) -> list[str]:
    """The names of the files in a zip or tar archive, as they are written there; nothing is unpacked.

    Raises:
        UserError: as `unpack`, of an archive.
    """
    with _reading(archive), _entries(archive) as entries:
        return [entry.name for entry in _harmless(archive, entries)]


def _harmless(archive: Path, entries: Iterator[_Entry]) -> Iterator[_Entry]:
    """The entries that are no folders, each once its size and path are known to do no harm."""
    left = max(LARGEST * archive.stat().st_size, ALWAYS)
    for number, entry in enumerate(entries):
        left -= max(entry.size, 0)
        if left < 0 or number >= MOST:
            raise _refused(archive, f"it unpacks to more than {LARGEST} times its size")
        _refuse_path(archive, entry.name)
        if not entry.name.endswith("/"):
            yield entry


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Say which archive it was that cannot be read."""
    try:
        yield
    except FileExistsError:
        raise _refused(archive, "two entries in it have the same path") from None
    # A zip may also be encrypted (RuntimeError) or packed in a way that nobody here knows (NotImplementedError).
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _refused(archive, f"it is no zip or tar archive, or is cut or damaged: {reason}") from None
    except OSError as error:
        raise _refused(archive, f"it cannot be unpacked: {error.strerror or error}") from None


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[_Entry]]:
    with archive.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"PK"):
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_entries(zipped)
    else:
        with tarfile.open(archive, "r:*") as tarred:
            yield _tar_entries(tarred)


def _zip_entries(zipped: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in zipped.infolist():
        kind = info.external_attr >> 28  # of the Unix mode: 0 where none is told, 8 for a plain file
        plain = kind in (0, 8) and not info.is_dir()
        # `orig_filename` is the name as it is written there; zipfile has made `filename` harmless already.
        yield _Entry(info.orig_filename, info.file_size, partial(zipped.open, info) if plain else None)


def _tar_entries(tarred: tarfile.TarFile) -> Iterator[_Entry]:
    for info in tarred:
        plain = info.isreg() and not info.issparse()
        name = info.name + "/" * info.isdir()
        yield _Entry(name, info.size, partial(tarred.extractfile, info) if plain else None)


def _refuse_path(archive: Path, name: str) -> None:
    """Paths that lead out of the folder, on any system."""
    path = PurePosixPath(name)
    if not name.strip("/") or path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise _refused(archive, f"it has an entry with the path {name[:100]!r}, which leads out of the folder")


def _write(archive: Path, entry: _Entry, path: Path) -> None:
    source = entry.open() if entry.open else None
    if source is None:
        raise _refused(archive, f"{entry.name[:100]!r} in it is a link or a device")
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("xb") as file:
        left = entry.size
        while block := source.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise _refused(archive, f"{entry.name[:100]!r} in it is larger than it says")
            file.write(block)
    if left:
        raise _refused(archive, f"{entry.name[:100]!r} in it is cut")


def _publish(draft: Path, folder: Path) -> None:
    """Give the files their names; a folder that is new appears at once."""
    for each in sorted(draft.iterdir()):
        target = folder / each.name
        if each.is_dir() and target.is_dir():
            _publish(each, target)
        else:
            each.replace(target)


def _refused(archive: Path, found: str) -> UserError:
    return UserError(f"{found}; nothing of it was kept", where=archive, fix="Get it from another place, or by hand.")
