"""Which kinds of pictures there are, and whether given parameters fit one.

A kind is a function in a file of its own; its keywords are its parameters, and it returns what is to be drawn. What
else it takes goes by what it is about:

    model      (sight: Sight, *, ...) -> Content       models that look at a few images
    suite      (sight: Sight, *, ...) -> Content       the same, and a suite that attacks them
    ledger     (records: Records, *, ...) -> Content   what a ledger has
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from robeval.errors import raise_together
from robeval.values.catalog import Catalog, headline
from robeval.values.parameters import resolve

About = Literal["model", "suite", "ledger"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of picture in the catalog.

    Attributes:
        about: what it is made of.
        paper: where it is from.
        sample: which images it shows if nothing is said; for models and suites.
    """

    name: str
    function: Callable[..., Any]
    about: About
    paper: str = ""
    sample: str = "0:8"

    @property
    def short(self) -> str:
        """The first line of its docstring."""
        return headline(self.function)


Function = TypeVar("Function", bound=Callable[..., Any])

_CATALOG: Catalog[Entry] = Catalog("robeval.pictures.kinds", "picture")


def picture(name: str, **about: Any) -> Callable[[Function], Function]:
    """Enter a function into the catalog under `name`; the keywords are those of `Entry`."""

    def enter(function: Function) -> Function:
        _CATALOG.enter(name, Entry(name, function, **about))
        return function

    return enter


def catalog() -> dict[str, Entry]:
    """Every kind by name."""
    return _CATALOG.all()


def find(name: str) -> Entry:
    """The kind of that name.

    Raises:
        UserError: there is none.
    """
    return _CATALOG.find(name, "show")


def resolved(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """All keywords of a kind with their values.

    Raises:
        UserError: a keyword is unknown or missing, or its value does not fit; all are named together.
    """
    params, problems = resolve(entry.function, given, f"picture '{entry.name}'")
    raise_together(problems)
    return params
