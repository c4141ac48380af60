"""Which measures there are, and whether given parameters fit one.

A measure is a function in a file of its own; its keywords are its parameters. What else it takes and what it
returns goes by what it is about:

    model      (problem: Problem, *, ...) -> Columns
    data       (samples: Samples, reference: Samples, *, ...) -> Callable[[range], Columns]
    verdicts   (verdicts: Mapping[str, Verdicts], x: images, plan: ModelPlan, *, ...) -> Columns
    theory     (draw: numpy.random.Generator, *, ...) -> tuple[Finding, ...]

Columns have one row per sample; the summary `(columns, params) -> findings` makes numbers of those of all samples.
A measure of data is prepared once and then called with the rows of one slice after the other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from robeval.errors import UserError, raise_together
from robeval.values.catalog import Catalog, headline
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import resolve

About = Literal["model", "data", "verdicts", "theory"]
ABOUT: tuple[str, ...] = get_args(About)
Summary = Callable[[Columns, Mapping[str, Any]], Iterable[Finding]]
Check = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A measure in the catalog.

    Attributes:
        about: what it is measured of.
        summary: makes findings of the columns of all samples; None for theory, which has its findings at once.
        paper: where it is from.
        gradients: it needs gradients of the model.
        at_once: all samples are one slice, as where something is fitted to them.
        check: what is wrong with its parameters together, each with what to do.
        version: raised when a fix changes results.
    """

    name: str
    function: Callable[..., Any]
    about: About
    summary: Summary | None = None
    paper: str = ""
    gradients: bool = False
    at_once: bool = False
    check: Check | None = None
    version: int = 1

    @property
    def short(self) -> str:
        """The first line of its docstring."""
        return headline(self.function)


Function = TypeVar("Function", bound=Callable[..., Any])

_CATALOG: Catalog[Entry] = Catalog("robeval.measures", "measure")


def measure(name: str, **about: Any) -> Callable[[Function], Function]:
    """Enter a function into the catalog under `name`; the keywords are those of `Entry`."""

    def enter(function: Function) -> Function:
        _CATALOG.enter(name, Entry(name, function, **about))
        return function

    return enter


def catalog() -> dict[str, Entry]:
    """Every measure by name."""
    return _CATALOG.all()


def find(name: str) -> Entry:
    """The measure of that name.

    Raises:
        UserError: there is none.
    """
    return _CATALOG.find(name, "measure")


def resolved(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """All keywords of a measure with their values.

    Raises:
        UserError: a keyword is unknown or missing, or its value does not fit; all are named together.
    """
    where = f"measure '{entry.name}'"
    params, problems = resolve(entry.function, given, where)
    if entry.check and not problems:
        problems += [UserError(what, where=where, fix=fix) for what, fix in entry.check(params)]
    raise_together(problems)
    return params
