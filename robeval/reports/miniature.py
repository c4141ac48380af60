"""reports/miniature/<id>.toml -> Miniature: the models of the papers' tables on small data, and what is to be seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from robeval import shelf
from robeval.errors import UserError, nearest, raise_together
from robeval.values.paper import Recipe
from robeval.values.parameters import resolve

SHELF = "reports/miniature"

Section = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A table of a paper that is measured in miniature.

    Attributes:
        id: of the table.
        attacks: of the miniature's own suite, beside those that the table asks for.
        without: columns and rows of the table that are left out, by their titles.
    """

    id: str
    attacks: tuple[str, ...]
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What is expected: accuracies added up, or the lowest of all, are at least or at most so many percentage points.

    Attributes:
        says: the expectation in words.
        plus, minus: accuracies, each "MODEL ATTACK" of the miniature's own suite, or "MODEL SUITE/ATTACK".
        lowest: an attack in their place: the lowest accuracy under it of all models is meant, with every seed.
        but: models that are left out there.
    """

    says: str
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    lowest: str = ""
    but: tuple[str, ...] = ()

    def holds(self, value: float) -> bool:
        """Whether the sum is where it is expected."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        """Where it is expected, in words."""
        parts = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        return " and ".join([*parts, *([f"at most {self.at_most:g}"] if self.at_most is not None else [])])


@dataclass(frozen=True, slots=True)
class Miniature:
    """Models that are trained here, by their names; the suite that attacks them all alike; tables; expectations.

    Attributes:
        first: by suite, how many images it attacks, the first ones; all where nothing is said.
        notes: what is to be known about the expectations.
    """

    title: str
    suite: str
    first: Mapping[str, int]
    recipes: Mapping[str, Recipe]
    tables: tuple[Shown, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()


def load(name: str = "digits") -> Miniature:
    """The miniature of that name on the shelf.

    Raises:
        UserError: there is none, or a key is missing, unknown or of the wrong type; all are named together.
    """
    return _load(shelf.find(SHELF, name, "miniature"))


@cache
def _load(path: Path) -> Miniature:
    """Read once, as every table asks for its recipes."""
    reader = _Reader(path)
    found = reader.miniature(shelf.read_toml(path))
    raise_together(reader.problems)
    return found


# What each section may hold: the keywords are its keys, as `resolve` reads them.


def _top(
    *,
    title: str,
    suite: str,
    first: dict[str, int] | None = None,
    notes: tuple[str, ...] = (),
    base: dict[str, Any],
    model: dict[str, Any],
    table: tuple[dict[str, Any], ...],
    check: tuple[dict[str, Any], ...],
) -> None:
    """The miniature; `first` goes by suite; `base` is what every `model` has, but for what its own section says."""


def _model(*, like: str, training: dict[str, Any] | None = None, network: dict[str, Any] | None = None) -> None:
    """A model."""


def _table(*, id: str, attacks: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
    """A table that is shown."""


def _check(
    *,
    says: str,
    plus: tuple[str, ...] = (),
    minus: tuple[str, ...] = (),
    at_least: float | None = None,
    at_most: float | None = None,
    lowest: str = "",
    but: tuple[str, ...] = (),
) -> None:
    """What is expected."""


class _Reader:
    """Reads one file and collects what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[UserError] = []

    def miniature(self, text: Section) -> Miniature:
        top = self.section(_top, text, "")
        base = self.section(_model, top.get("base") or {}, "[base]")
        models = {name: each if isinstance(each, dict) else {} for name, each in (top.get("model") or {}).items()}
        recipes = {name: self.recipe(base, each, f"[model.{name}]") for name, each in models.items()}
        tables = [self.section(_table, each, f"[[table]] {n}") for n, each in enumerate(top.get("table") or (), 1)]
        checks = [self.check(each, recipes, f"[[check]] {n}") for n, each in enumerate(top.get("check") or (), 1)]
        raise_together(self.problems)
        parts = tuple(Shown(**each) for each in tables), tuple(Check(**each) for each in checks)
        return Miniature(top["title"], top["suite"], top["first"] or {}, recipes, *parts, top["notes"])

    def recipe(self, base: Section, given: Section, at: str) -> Recipe:
        own = self.section(_model, {"like": base.get("like", ""), **given}, at)
        training, network = ({**(base.get(key) or {}), **(own.get(key) or {})} for key in ("training", "network"))
        return Recipe(str(own.get("like")), training, network)

    def check(self, given: Section, models: Mapping[str, Recipe], at: str) -> dict[str, Any]:
        found, at = self.section(_check, given, at), f"{self.path}: {at}"
        if bool(found.get("plus")) == bool(found.get("lowest")):
            fix = "Name the accuracies that are added up, or the attack of which the lowest is meant."
            self.problems.append(UserError("neither or both of 'plus' and 'lowest' are given", where=at, fix=fix))
        for name in sorted(set(found.get("but") or ()) - set(models)):
            self.problems.append(UserError(f"'but' has unknown model '{name}'", where=at, fix=nearest(name, models)))
        return found

    def section(self, keys: Any, given: Section, at: str) -> dict[str, Any]:
        found, wrong = resolve(keys, given, f"{self.path}: {at}" if at else str(self.path))
        self.problems += wrong
        return found
