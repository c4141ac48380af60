"""The classifier of Theorem 4.4 on two spirals (Yang et al., 2020, section 4, https://arxiv.org/abs/2003.02460)."""

from typing import Annotated

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.values.measurement import Finding
from robeval.values.parameters import Bound, Count, Positive

Points = NDArray[np.float64]


@measure("spirals", about="theory", paper="arXiv:2003.02460")
def spirals(
    draw: Generator, *, points: Annotated[int, Bound(2)] = 200, turns: Positive = 1.5, n: Count = 10_000
) -> tuple[Finding, ...]:
    """Accuracy, astuteness and local Lipschitzness of f = (dist(x, X-) - dist(x, X+)) / 2r on two spirals.

    Each class is a spiral of `points` training points in [0, 1]^2, the other turned by half a circle; distances are
    l-inf, and r is half the distance of the classes. The theorem: |f(x) - f(x')| <= ||x - x'|| / r, and sign f is right
    within r of every training point (`astuteness`, of `n` points drawn around training points, and of the training
    points moved by nearly r towards the nearest of the other class). `lipschitz` is the largest quotient times r of `n`
    pairs; `accuracy` is that on `n` points drawn from the spirals.
    """
    training, y = spiral(np.linspace(0.1, 1, points), turns)
    classifier = ByDistance(training, y)
    r, kept = classifier.r, 1 - 1e-9
    centres = draw.integers(len(training), size=n)
    around = training[centres] + kept * r * (2 * draw.random((n, 2)) - 1)
    toward = classifier.nearest_other(training, y)
    step = kept * r / np.abs(toward - training).max(axis=1, keepdims=True)
    worst = training + np.minimum(step, 1) * (toward - training)
    left, right = draw.random((n, 2)), draw.random((n, 2))
    apart = np.abs(left - right).max(axis=1)
    test, labels = spiral(0.1 + 0.9 * draw.random(n), turns)
    return (
        Finding("separation", 2 * r, n=len(training)),
        numbers.least("margin_min", y * classifier(training), "training points"),
        numbers.share("astuteness", y[centres] * classifier(around) > 0, "drawn"),
        numbers.share("astuteness", y * classifier(worst) > 0, "moved"),
        numbers.largest("lipschitz", r * np.abs(classifier(left) - classifier(right)) / apart),
        numbers.share("accuracy", labels * classifier(test) > 0),
    )


def spiral(radii: Points, turns: float) -> tuple[Points, NDArray[np.int64]]:
    """Points at these radii, 0 to 1, of one spiral and then of the other, (2n, 2), and -1 or 1 for each."""
    angle = 2 * np.pi * turns * radii
    one = np.stack([radii * np.cos(angle), radii * np.sin(angle)], axis=1)
    return 0.5 + 0.5 * np.concatenate([one, -one]), np.repeat([-1, 1], len(radii))


class ByDistance:
    """f(x) = (dist(x, X-) - dist(x, X+)) / 2r in the l-inf norm, r half the distance of the two classes."""

    def __init__(self, training: Points, y: NDArray[np.int64]) -> None:
        self._classes = {side: training[y == side] for side in (-1, 1)}
        self.r = float(cdist(self._classes[-1], self._classes[1], "chebyshev").min()) / 2

    def __call__(self, x: Points) -> Points:
        """The score of each point; positive for class 1."""
        negative, positive = (self._distance(x, side) for side in (-1, 1))
        return (negative - positive) / (2 * self.r)

    def nearest_other(self, x: Points, y: NDArray[np.int64]) -> Points:
        """For each point the nearest training point of the other class."""
        found = np.empty_like(x)
        for side in (-1, 1):
            others = self._classes[-side]
            found[y == side] = others[cdist(x[y == side], others, "chebyshev").argmin(axis=1)]
        return found

    def _distance(self, x: Points, side: int) -> Points:
        parts = np.array_split(x, -(-len(x) // 1000))  # so that no table is large
        return np.concatenate([cdist(part, self._classes[side], "chebyshev").min(axis=1) for part in parts])
