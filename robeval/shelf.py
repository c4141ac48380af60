"""Where the data folders `zoo/`, `suites/` and `reports/` are, and what lies in them."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from robeval.errors import UserError, nearest

SUITES = "suites"
CARDS = "zoo/cards"
RECIPES = "zoo/papers"


def roots() -> Iterator[Path]:
    """Folders that may hold `zoo/`, `suites/` and `reports/`; earlier ones win."""
    if home := os.environ.get("ROBEVAL_HOME"):
        yield Path(home)
    package = Path(str(files("robeval")))
    bundled = package / "data"
    yield bundled if bundled.is_dir() else package.parent


def cache() -> Path:
    """The folder for downloaded data and weights: `ROBEVAL_CACHE`, else the user's cache folder."""
    if given := os.environ.get("ROBEVAL_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "robeval"


def names(shelf: str) -> dict[str, Path]:
    """Every TOML file on one shelf, by the name it is called by (its stem)."""
    found: dict[str, Path] = {}
    for root in roots():
        for path in sorted((root / shelf).glob("*.toml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find(shelf: str, name: str, option: str) -> Path:
    """The TOML file called `name` on a shelf, or at that path if it ends in `.toml`.

    Raises:
        UserError: there is none; names `option` and the nearest name.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            found = f"{path} is a folder" if path.is_dir() else f"there is no file {path}"
            raise UserError(found, where=option, fix="Give the path of a TOML file.")
        return path
    known = names(shelf)
    if name not in known:
        raise UserError(f"unknown name '{name}'", where=option, fix=nearest(name, known))
    return known[name]


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        UserError: the file cannot be read or is not TOML; names the file and the line.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"this is not valid TOML: {error}", where=path, fix="Mend the line it names.") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"line {line} is not UTF-8", where=path, fix="Save the file as UTF-8.") from None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file it was that the system could not read.

    Raises:
        UserError: instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        fix = "Give a file that this user may read, on a disk that works."
        raise UserError(f"the file cannot be read: {reason}", where=path, fix=fix) from None
