"""Which training methods there are."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

import robeval.train.methods
from robeval.ops.problem import Problem


class Method(Protocol):
    """The loss of one batch, a scalar with a graph to the weights; keywords are keys of a card's `[training]`.

    `problem` holds the batch, the ball and the noise, and asks `net` for slopes to the images, which costs no
    gradient of the weights. `net` itself is called for what the weights learn from; it comes in training mode
    and is left in it.
    """

    def __call__(self, problem: Problem, net: nn.Module, /, **params: Any) -> Tensor:
        """The mean loss over the batch."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A training method in the catalog.

    Attributes:
        paper: where it is from.
        adversarial: whether it perturbs images, and so needs `norm` and `eps`.
    """

    name: str
    function: Callable[..., Tensor]
    paper: str
    adversarial: bool

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


Function = TypeVar("Function", bound=Callable[..., Tensor])

_CATALOG: dict[str, Entry] = {}


def method(name: str, *, paper: str = "", adversarial: bool = True) -> Callable[[Function], Function]:
    """Enter a function `(problem, net, *, ...) -> loss` into the catalog under `name`."""

    def enter(function: Function) -> Function:
        if name in _CATALOG:
            raise ValueError(f"two training methods are called {name!r}")
        _CATALOG[name] = Entry(name, function, paper, adversarial)
        return function

    return enter


def catalog() -> dict[str, Entry]:
    """Every training method by name."""
    for module in pkgutil.iter_modules(robeval.train.methods.__path__):
        importlib.import_module(f"robeval.train.methods.{module.name}")
    return dict(sorted(_CATALOG.items()))
