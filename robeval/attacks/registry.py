"""Which attacks there are, and whether a suite's entry fits one."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar

from torch import Tensor

import robeval.attacks
from robeval.errors import UserError, nearest
from robeval.ops.problem import Problem
from robeval.values.attack import SELECTS, AttackSpec
from robeval.values.parameters import resolve


class Attack(Protocol):
    """Candidate images for a problem, same shape and dtype as `problem.x`; keywords are the suite's keys."""

    def __call__(self, problem: Problem, /, **params: Any) -> Tensor:
        """One candidate per image; whether it breaks the model is decided elsewhere."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """An attack in the catalog.

    Attributes:
        norms: the norms it is defined for.
        paper: where it is from.
        version: raised when a fix changes results, so that old cells are computed again.
    """

    name: str
    function: Callable[..., Tensor]
    norms: tuple[str, ...]
    paper: str
    version: int

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


Function = TypeVar("Function", bound=Callable[..., Tensor])

_CATALOG: dict[str, Entry] = {}


def attack(name: str, *, norms: tuple[str, ...], paper: str = "", version: int = 1) -> Callable[[Function], Function]:
    """Enter a function `(problem, *, ...) -> candidates` into the catalog under `name`."""

    def enter(function: Function) -> Function:
        if name in _CATALOG:
            raise ValueError(f"two attacks are called {name!r}")
        _CATALOG[name] = Entry(name, function, norms, paper, version)
        return function

    return enter


def catalog() -> dict[str, Entry]:
    """Every attack by name: those of this package, and those of the entry-point group `robeval.attacks`."""
    for module in pkgutil.iter_modules(robeval.attacks.__path__):
        importlib.import_module(f"robeval.attacks.{module.name}")
    for point in entry_points(group="robeval.attacks"):
        point.load()
    return dict(sorted(_CATALOG.items()))


def check(spec: AttackSpec, where: str) -> tuple[AttackSpec, list[UserError]]:
    """The entry with every keyword and the attack's version filled in, and all that is wrong with it."""
    known = catalog()
    if spec.use not in known:
        return spec, [UserError(f"unknown attack '{spec.use}'", where=where, fix=nearest(spec.use, known))]
    entry = known[spec.use]
    params, problems = resolve(entry.function, spec.params, f"{where}: '{spec.use}'")
    if spec.threat.norm not in entry.norms:
        problems.append(
            UserError(
                f"'{spec.use}' is not defined for norm '{spec.threat.norm}'",
                where=where,
                fix=f"It can do: {', '.join(entry.norms)}.",
            )
        )
    if spec.restarts < 1:
        problems.append(UserError(f"'restarts' is {spec.restarts}", where=where, fix="Give 1 or more."))
    if spec.select not in SELECTS:
        problems.append(UserError(f"unknown 'select' '{spec.select}'", where=where, fix=nearest(spec.select, SELECTS)))
    return replace(spec, params=params, version=entry.version), problems
