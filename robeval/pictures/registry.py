"""Which kinds of pictures there are, and whether given parameters fit one.

A kind is a function in a file of its own; its keywords are its parameters, and it returns what is to be drawn. What
else it takes goes by what it is about:

    model      (sight: Sight, *, ...) -> Content       models that look at a few images
    suite      (sight: Sight, *, ...) -> Content       the same, and a suite that attacks them
    ledger     (records: Records, *, ...) -> Content   what a ledger has
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import robeval.pictures.kinds
from robeval.errors import UserError, nearest, raise_together
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
        return (self.function.__doc__ or "").strip().splitlines()[0]


Function = TypeVar("Function", bound=Callable[..., Any])

_CATALOG: dict[str, Entry] = {}


def picture(name: str, **about: Any) -> Callable[[Function], Function]:
    """Enter a function into the catalog under `name`; the keywords are those of `Entry`."""

    def enter(function: Function) -> Function:
        if name in _CATALOG:
            raise ValueError(f"two kinds of pictures are called {name!r}")
        _CATALOG[name] = Entry(name, function, **about)
        return function

    return enter


def catalog() -> dict[str, Entry]:
    """Every kind by name."""
    for module in pkgutil.iter_modules(robeval.pictures.kinds.__path__, "robeval.pictures.kinds."):
        importlib.import_module(module.name)
    return dict(sorted(_CATALOG.items()))


def find(name: str) -> Entry:
    """The kind of that name.

    Raises:
        UserError: there is none.
    """
    known = catalog()
    if name not in known:
        raise UserError(f"there is no picture '{name}'", where="show", fix=nearest(name, known))
    return known[name]


def resolved(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """All keywords of a kind with their values.

    Raises:
        UserError: a keyword is unknown or missing, or its value does not fit; all are named together.
    """
    params, problems = resolve(entry.function, given, f"picture '{entry.name}'")
    raise_together(problems)
    return params
