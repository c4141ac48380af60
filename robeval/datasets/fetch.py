"""Fetching the files of a data set."""

from fnmatch import fnmatchcase
from pathlib import Path

from robeval import shelf
from robeval.datasets.files import Download
from robeval.datasets.registry import Entry
from robeval.errors import UserError
from robeval.fetch.download import Listen, download
from robeval.fetch.unpack import unpack


def fetch(entry: Entry, folder: Path | None = None, listen: Listen | None = None) -> list[tuple[Path, str]]:
    """Fetch the files of a data set that are not there yet, and unpack archives; what came, each with its sha256.

    Args:
        folder: the data folder; that of the cache if None.

    Raises:
        FetchError: a file cannot be had.
        UserError: the data set's files are not on the web, or an archive cannot be unpacked.
    """
    if not entry.downloads:
        summary = f"robeval cannot fetch '{entry.name}': its files are not free on the web, or it has none"
        raise UserError(summary, where="NAME", fix=f"`robeval data verify {entry.name}` says what it needs.")
    folder = folder or shelf.cache() / "data"
    return [found for each in entry.downloads if (found := _fetched(each, folder, listen))]


def _fetched(wanted: Download, folder: Path, listen: Listen | None) -> tuple[Path, str] | None:
    place = folder / wanted.folder
    path = place / wanted.remote.name
    if not wanted.take:
        fix = f"Get it in another way and put it into {place}."
        return None if path.is_file() else (path, download(wanted.remote, path, fix, listen))
    tops = {pattern.partition("/")[0] for pattern in wanted.take}
    if all(any(place.glob(pattern)) for pattern in wanted.take):
        return None
    fix = f"Get it in another way and unpack it in {place}, so that {', '.join(sorted(tops))}/ is there."
    sha256 = download(wanted.remote, path, fix, listen)

    def place_of(name: str) -> str | None:
        name = name.removeprefix("./")
        return name if any(fnmatchcase(name, pattern) for pattern in wanted.take) else None

    unpack(path, place_of, place)
    path.unlink()  # it takes as much room again as what was in it
    return path, sha256
