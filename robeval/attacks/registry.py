"""Which attacks there are, and whether a suite's entry fits one."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar

from torch import Tensor

from robeval.errors import UserError, nearest
from robeval.ops.losses import settled, too_few_classes
from robeval.ops.problem import Problem
from robeval.values.attack import SCORES, SELECTS, AttackSpec
from robeval.values.catalog import Catalog, headline
from robeval.values.parameters import resolve


class Attack(Protocol):
    """Candidate images for a problem, same shape and dtype as `problem.x`; keywords are the suite's keys."""

    def __call__(self, problem: Problem, /, **params: Any) -> Tensor:
        """One candidate per image; whether it breaks the model is decided elsewhere."""
        ...


Fit = Callable[[Mapping[str, Any], int], Mapping[str, Any]]
Draws = Callable[[Mapping[str, Any]], bool]


def always(params: Mapping[str, Any]) -> bool:
    """Whatever it is told, another restart is another try."""
    return True


def never(params: Mapping[str, Any]) -> bool:
    """Whatever it is told, another restart is the same."""
    return False


def at_its_start(params: Mapping[str, Any]) -> bool:
    """Another restart is another try with a random start or a random target."""
    return bool(params.get("random_start")) or params.get("target") == "random"


@dataclass(frozen=True, slots=True)
class Entry:
    """An attack in the catalog.

    Attributes:
        norms: the norms it is defined for.
        paper: where it is from.
        minimal: it makes the distance small instead of staying in the ball.
        gradients: it needs gradients of the model.
        fit: what its keywords become for a number of classes; raises UserError where they cannot be done.
        draws: whether it draws random numbers with these keywords, so that another restart is another try.
        version: raised when a fix changes results, so that old cells are computed again.
        library: the other library that does the work; empty for attacks of robeval's own. Such an entry is called
            `<library>.<name of our attack>`, and its keywords are some of ours.
        settings: where it is the same attack as ours: in every point of one of these mappings from keywords (and
            `norm`) to values. None given says: always.
        differs: in what it is another attack than ours whatever the settings; empty if in nothing.
    """

    name: str
    function: Callable[..., Tensor]
    norms: tuple[str, ...]
    paper: str = ""
    minimal: bool = False
    gradients: bool = True
    fit: Fit | None = None
    draws: Draws = always
    version: int = 1
    library: str = ""
    settings: tuple[Mapping[str, object], ...] = ()
    differs: str = ""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return headline(self.function)


Function = TypeVar("Function", bound=Callable[..., Tensor])

_CATALOG: Catalog[Entry] = Catalog("robeval.attacks", "attack")

# For each library the module that has to be there, and what to install for it.
_LIBRARIES = {
    "torchattacks": ("torchattacks", "robeval[torchattacks]"),
    "foolbox": ("foolbox", "robeval[foolbox]"),
    "autoattack": ("pyautoattack", "pyautoattack"),
}

# What is no entry, though an attack by name, and how to ask for it.
ELSEWHERE = {
    "autoattack": "It is several attacks: write [[autoattack]] in place of [[attack]] (`robeval attacks autoattack`).",
    "transfer": "Images of any attack are made on another model by `robeval transfer --source A --target B --suite S`.",
}


def attack(
    name: str,
    *,
    norms: tuple[str, ...],
    paper: str = "",
    minimal: bool = False,
    gradients: bool = True,
    fit: Fit | None = None,
    draws: Draws = always,
    version: int = 1,
    library: str = "",
    settings: tuple[Mapping[str, object], ...] = (),
    differs: str = "",
) -> Callable[[Function], Function]:
    """Enter a function `(problem, *, ...) -> candidates` into the catalog under `name`; see `Entry`."""

    def enter(function: Function) -> Function:
        entry = Entry(name, function, norms, paper, minimal, gradients, fit, draws, version, library, settings, differs)
        _CATALOG.enter(name, entry)
        return function

    return enter


def fit_loss(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """A `fit` for attacks with keywords `loss` and perhaps `target`; says which loss "auto" is.

    Raises:
        UserError: the loss compares more logits than there are.
    """
    if params.get("kappa") is not None and params["loss"] != "margin":
        raise UserError(f"'kappa' is given, but loss '{params['loss']}' has none", fix='Take loss = "margin".')
    targeted = params.get("target", "none") != "none"
    if wrong := too_few_classes(params["loss"], targeted, classes):
        raise UserError(wrong, fix='Take loss = "margin".')
    return {**params, "loss": settled(params["loss"], targeted, classes)}


def catalog() -> dict[str, Entry]:
    """Every attack by name: those of this package, and those of the entry-point group `robeval.attacks`."""
    _CATALOG.all()  # first, so that a name taken twice is the fault of who came later
    for point in entry_points(group="robeval.attacks"):
        point.load()
    return dict(sorted(_CATALOG.items()))


def check(spec: AttackSpec, where: str) -> tuple[AttackSpec, list[UserError]]:
    """The entry with every keyword and the attack's version filled in, and all that is wrong with it."""
    known = catalog()
    if spec.use in ELSEWHERE:
        found = f"'{spec.use}' is nothing that 'use' can name"
        return spec, [UserError(found, where=where, fix=ELSEWHERE[spec.use])]
    if spec.use not in known:
        return spec, [UserError(f"unknown attack '{spec.use}'", where=where, fix=nearest(spec.use, known))]
    entry = known[spec.use]
    params, problems = resolve(entry.function, spec.params, f"{where}: '{spec.use}'")
    norm = (spec.minimises or spec.threat.norm) if entry.minimal else spec.threat.norm
    problems += [UserError(what, where=where, fix=fix) for what, fix in _amiss(spec, entry, norm)]
    problems += [UserError(what, where=where, fix=fix) for what, fix in _out_of_reach(spec, entry)]
    return replace(spec, params=params, version=entry.version, minimises=norm if entry.minimal else ""), problems


def is_installed(entry: Entry) -> bool:
    """Whether the library that does the work of an attack is there."""
    module, _ = _LIBRARIES.get(entry.library, ("", ""))
    return not module or importlib.util.find_spec(module) is not None


def _amiss(spec: AttackSpec, entry: Entry, norm: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the keys that every attack has, and what to do."""
    if norm not in entry.norms:
        way = f' Write minimises = "{entry.norms[0]}" to score it in this ball.' if entry.minimal else ""
        yield f"'{spec.use}' is not defined for norm '{norm}'", f"It can do: {', '.join(entry.norms)}.{way}"
    if spec.restarts < 1:
        yield f"'restarts' is {spec.restarts}", "Give 1 or more."
    if spec.eot < 1:
        yield f"'eot' is {spec.eot}", "Give 1 or more."
    if spec.select not in SELECTS:
        yield f"unknown 'select' '{spec.select}'", nearest(spec.select, SELECTS)
    if spec.score not in SCORES:
        yield f"unknown 'score' '{spec.score}'", nearest(spec.score, SCORES)
    if not entry.minimal and (spec.minimises or spec.score != "threshold"):
        key = "minimises" if spec.minimises else "score"
        yield f"'{spec.use}' takes no '{key}'", "It is for attacks that minimise a distance."
    if (entry.minimal or not entry.gradients) and spec.select == "best":
        yield f"'{spec.use}' has no one loss whose best iterate could count", "Take 'final' or 'any'."
    if entry.minimal and spec.score == "native" and norm != spec.threat.norm:
        found = f"score 'native' compares distances in {norm}, but eps {spec.threat.eps:g} is a radius in "
        yield found + spec.threat.norm, f'Give threat = {{ norm = "{norm}", eps = ... }}.'


def _out_of_reach(spec: AttackSpec, entry: Entry) -> Iterator[tuple[str, str]]:
    """What another library cannot do, and what to do."""
    if not entry.library:
        return
    if not is_installed(entry):
        requirement = _LIBRARIES[entry.library][1]
        yield f"'{spec.use}' needs {entry.library}, which is not installed", f"pip install '{requirement}'"
    if spec.select == "best":
        yield f"'{spec.use}' does not tell its loss, so no iterate is the best", "Take 'final' or 'any'."
    if spec.eot > 1:
        yield f"'{spec.use}' cannot average over {spec.eot} passes", "Leave out 'eot'."
