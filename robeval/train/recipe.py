"""A card's `[training]` section -> Recipe."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from robeval.errors import UserError, nearest, raise_together
from robeval.train.registry import Entry, catalog
from robeval.values.card import ModelCard
from robeval.values.parameters import Bound, Count, NotNegative, Positive, resolve
from robeval.values.threat import Norm, ThreatModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keys of `[training]` that every method has; all others are keywords of the method.

    Attributes:
        norm, eps: the ball that training perturbs images in; only for methods that do.
        replays: how often it learns from a batch before the next (free adversarial training's m).
        momentum: of SGD.
        weight_decay: on all weights.
        decay_epochs: the epochs, counted from 1, from which the learning rate is multiplied by `decay_factor`.
        seed: of the first weights, the order of the images, dropout and the method's noise.
        threads: on a CPU, where another number rounds differently and so trains other weights; one is the fastest
            for small networks. 0 leaves it to torch.
    """

    norm: Norm = "linf"
    eps: NotNegative = 0.0
    epochs: Count
    batch_size: Count
    replays: Count = 1
    learning_rate: Positive
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    decay_epochs: tuple[Count, ...] = ()
    decay_factor: Positive = 0.1
    seed: Annotated[int, Bound(0)] = 0
    threads: Annotated[int, Bound(0)] = 0

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1."""
        decays = sum(epoch >= start for start in self.decay_epochs)
        return self.learning_rate * self.decay_factor**decays


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained: a method with its keywords, and the settings of the loop."""

    method: Entry
    params: Mapping[str, Any]
    settings: Settings

    @property
    def threat(self) -> ThreatModel:
        """The ball that training perturbs images in."""
        return ThreatModel(self.settings.norm, self.settings.eps)


def read(card: ModelCard, count: int) -> Recipe:
    """The recipe of a card, for a training set of `count` images, with every default filled in.

    Raises:
        UserError: no recipe, an unknown method or key, or a value that cannot be; all are named together.
    """
    where = f"{card.where or card.id}: [training]"
    method = _method(card.training, where)
    given = {key: value for key, value in card.training.items() if key != "method"}
    general, own = _keys(method)
    problems = [
        UserError(f"takes no '{key}'", where=where, fix=nearest(key, {"method", *general, *own}))
        for key in given
        if key not in general | own
    ]
    settings, wrong = resolve(Settings, {key: given[key] for key in given if key in general}, where)
    params, amiss = resolve(method.function, {key: given[key] for key in given if key in own}, where)
    problems += wrong + amiss
    if not wrong:
        problems += _impossible(Settings(**settings), method, count, where)
    raise_together(problems)
    return Recipe(method, params, Settings(**settings))


def _method(training: Mapping[str, Any], where: str) -> Entry:
    known, name = catalog(), training.get("method")
    if name is None:
        raise UserError("'method' is missing", where=where, fix=f"Add 'method = ...'. {nearest('', known)}")
    if not isinstance(name, str) or name not in known:
        raise UserError(f"unknown method {name!r}", where=where, fix=nearest(str(name), known))
    return known[name]


def _keys(method: Entry) -> tuple[set[str], set[str]]:
    """The keys that set up the loop, and those that are the method's own."""
    general = {each.name for each in fields(Settings)}
    own = inspect.signature(method.function).parameters.values()
    return general if method.adversarial else general - {"norm", "eps"}, {
        each.name for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _impossible(settings: Settings, method: Entry, count: int, where: str) -> list[UserError]:
    """Settings that are each well formed but cannot be together, or with this data set."""
    problems = []
    if settings.batch_size > count:
        found = f"'batch_size' is {settings.batch_size}, but there are only {count} training images"
        problems.append(UserError(found, where=where, fix=f"Set it to {count} or less."))
    if method.adversarial and settings.eps == 0:
        found = f"'{method.name}' needs a ball, but 'eps' is missing or 0"
        problems.append(UserError(found, where=where, fix='Add the radius in pixel units, for example eps = "8/255".'))
    if method.adversarial and settings.norm not in method.norms:
        found = f"'{method.name}' is not defined for norm '{settings.norm}'"
        problems.append(UserError(found, where=where, fix=f"It can do: {', '.join(method.norms)}."))
    if settings.norm == "linf" and settings.eps > 1:
        found = f"'eps' is {settings.eps:g}, but images are in [0, 1]"
        problems.append(UserError(found, where=where, fix=f'Did you mean "{settings.eps:g}/255"?'))
    if settings.optimiser == "adam" and settings.momentum:
        found = f"'momentum' is {settings.momentum:g}, but adam has its own"
        problems.append(UserError(found, where=where, fix='Leave it out, or set optimiser = "sgd".'))
    return problems
