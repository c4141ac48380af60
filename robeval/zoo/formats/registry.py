"""Which formats of files of weights there are, and telling them apart."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robeval import shelf
from robeval.errors import UserError
from robeval.values.catalog import Catalog
from robeval.zoo.formats.refusals import SAFE

MOST = 20_000  # tensors of a file; the deepest networks have some thousands
HEAD = 512  # bytes of a file that tell most formats


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write weights into a file.

    Attributes:
        name: what `robeval zoo inspect` calls it.
        begins: whether a file with these first bytes, at this path, is of this format; at most one format says so.
        read: the file's path to what it holds, for `wrapped.state_dict` to unwrap. Each looks at the beginning before
            it takes the whole file into memory, which may be larger than that.
    """

    name: str
    begins: Callable[[bytes, Path], bool]
    read: Callable[[Path], object]


_CATALOG: Catalog[Format] = Catalog("robeval.zoo.formats", "format")


def file_format(
    name: str, begins: Callable[[bytes, Path], bool]
) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    """Enter a reading function under `name`."""

    def enter(read: Callable[[Path], object]) -> Callable[[Path], object]:
        _CATALOG.enter(name, Format(name, begins, read))
        return read

    return enter


def catalog() -> dict[str, Format]:
    """Every format by name."""
    return _CATALOG.all()


def of(path: Path) -> Format:
    """The format of a file.

    Raises:
        UserError: it is none that robeval reads.
    """
    with shelf.reading(path), path.open("rb") as file:
        head = file.read(HEAD)
    known = catalog()
    for each in known.values():
        if each.begins(head, path):
            return each
    found = f"this is no file of weights that robeval reads ({', '.join(known)}); it begins with {head[:8]!r}"
    raise UserError(found, where=path, fix=SAFE)
