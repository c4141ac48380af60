"""Natural, boundary and robust error of the TRADES example (Zhang et al., 2019, section 2.4 and Table 1)."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.values.measurement import Finding
from robeval.values.parameters import Count

Vector = NDArray[np.floating]


@measure("trades_example", about="theory", paper="arXiv:1901.08573")
def trades_example(draw: Generator, *, stairs: Count = 5, n: Count = 100_000) -> tuple[Finding, ...]:
    """Errors of the Bayes and the all-one classifier on points whose label changes every eps = 1 / (2 `stairs`).

    x is uniform on [0, 1]; its label is -1 on [0, eps), +1 on [eps, 2 eps), and so on. The closed forms are integrals
    over the pieces of the classifiers; beside them, `n` points are drawn, and `random` is a classifier whose labels
    change at `stairs` random places: robust = natural + boundary holds for it as well.
    """
    eps = 1 / (2 * stairs)
    switches = eps * np.arange(1, 2 * stairs)
    truth = Stairs(switches, -1)
    classifiers = {
        "bayes": truth,
        "all_one": Stairs(np.empty(0), 1),
        "random": Stairs(np.sort(draw.random(stairs)), -1),
    }
    x = draw.random(n)
    found: list[Finding] = []
    for name, classifier in classifiers.items():
        exact = exact_errors(classifier, truth, eps)
        found += [Finding(f"{kind}_error", value, at=f"{name}, closed form") for kind, value in exact.items()]
        drawn = errors(classifier, x, truth(x), eps)
        found += [numbers.share(f"{kind}_error", hits, f"{name}, simulated") for kind, hits in drawn.items()]
    return tuple(found)


class Stairs:
    """A classifier of [0, 1] whose answer turns at each of its switches.

    Args:
        switches: in increasing order; a piece holds its left end.
        first: the answer before the first switch, -1 or 1.
    """

    def __init__(self, switches: Vector, first: int) -> None:
        self.switches, self.first = switches, first

    def __call__(self, x: Vector) -> NDArray[np.int64]:
        """-1 or 1 for each point."""
        turns = np.searchsorted(self.switches, x, side="right")
        return np.where(turns % 2 == 0, self.first, -self.first)


def errors(classifier: Stairs, x: Vector, y: NDArray[np.int64], eps: float) -> dict[str, NDArray[np.bool_]]:
    """Which points are wrong, right but within eps of a switch of the classifier, and wrong somewhere within eps."""
    wrong = classifier(x) != y
    left = np.searchsorted(classifier.switches, x - eps, side="left")
    near = np.searchsorted(classifier.switches, x + eps, side="right") > left
    return {"natural": wrong, "boundary": ~wrong & near, "robust": wrong | near}


def exact_errors(classifier: Stairs, truth: Stairs, eps: float) -> dict[str, float]:
    """The probabilities of the three: lengths of the pieces between places where one of them may begin or end."""
    places = [classifier.switches, classifier.switches - eps, classifier.switches + eps, truth.switches]
    ends = np.unique(np.clip(np.concatenate([*places, [0.0, 1.0]]), 0, 1))
    middles, lengths = (ends[1:] + ends[:-1]) / 2, np.diff(ends)
    found = errors(classifier, middles, truth(middles), eps)
    return {kind: float(lengths[hits].sum()) for kind, hits in found.items()}
