"""Which training methods there are."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from robeval.ops.problem import Problem
from robeval.values.catalog import Catalog, headline


@dataclass(frozen=True, slots=True)
class Course:
    """Where a training stands, for methods that depend on it.

    Attributes:
        epoch: counted from 1, of `epochs`.
        memory: what the method keeps from batch to batch, by names of its own; empty before the first batch.
            A training that is taken up again needs it as it was.
    """

    epoch: int
    epochs: int
    memory: dict[str, Tensor]


class Method(Protocol):
    """The loss of one batch, a scalar with a graph to the weights; keywords are keys of a card's `[training]`.

    `problem` holds the batch, the ball and the noise, and asks `net` for slopes to the images, which costs no
    gradient of the weights. `net` itself is called for what the weights learn from; it comes in training mode
    and is left in it. A method that depends on the epoch, or keeps something between batches, takes a third
    argument without a keyword, the `Course`.
    """

    def __call__(self, problem: Problem, net: nn.Module, /, *course: Course, **params: Any) -> Tensor:
        """The mean loss over the batch."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A training method in the catalog.

    Attributes:
        paper: where it is from.
        norms: those of the balls that it perturbs images in; none if it takes no `norm` and `eps`.
    """

    name: str
    function: Callable[..., Tensor]
    paper: str
    norms: tuple[str, ...]

    @property
    def adversarial(self) -> bool:
        """Whether it perturbs images in a ball, and so needs `norm` and `eps`."""
        return bool(self.norms)

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return headline(self.function)

    def loss(self, problem: Problem, net: nn.Module, course: Course, params: Mapping[str, Any]) -> Tensor:
        """The mean loss over the batch, a scalar with a graph to the weights."""
        kinds = [each.kind for each in inspect.signature(self.function).parameters.values()]
        wanted = (problem, net, course)[: kinds.count(inspect.Parameter.POSITIONAL_ONLY)]
        return self.function(*wanted, **params)


Function = TypeVar("Function", bound=Callable[..., Tensor])

_CATALOG: Catalog[Entry] = Catalog("robeval.train.methods", "training method")


def method(name: str, *, paper: str = "", norms: tuple[str, ...] = ("linf", "l2")) -> Callable[[Function], Function]:
    """Enter a function `(problem, net, *, ...) -> loss` into the catalog under `name`; see `Method` and `Entry`."""

    def enter(function: Function) -> Function:
        _CATALOG.enter(name, Entry(name, function, paper, norms))
        return function

    return enter


def catalog() -> dict[str, Entry]:
    """Every training method by name."""
    return _CATALOG.all()
