"""Accuracy against robustness in the distribution D (Tsipras et al., 2019, Theorem 2.1, https://arxiv.org/abs/1805.12152).

y is -1 or 1; x_1 = y with probability p, else -y; x_2, ..., x_{d+1} are normal with mean eta y and variance 1.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.values.measurement import Finding
from robeval.values.parameters import Bound, Count, Positive, Share

CHUNK = 1_000_000  # numbers drawn at a time
Probability = Annotated[float, Bound(0.5, high=1)]


@measure("tsipras", about="theory", paper="arXiv:1805.12152")
def tsipras(
    draw: Generator,
    *,
    d: Count = 100,
    p: Probability = 0.95,
    eta: Positive | None = None,
    eps: Positive | None = None,
    n: Count = 20_000,
    deltas: tuple[Share, ...] = (0.01, 0.04),
) -> tuple[Finding, ...]:
    """Natural and l-inf robust accuracy of linear classifiers on D, and the bound p / (1 - p) delta on the latter.

    `mean` is the sign of the mean of x_2, ..., `first` that of x_1, `both` that of x_1 + their sum. eta is 3 / sqrt(d)
    and eps 2 eta unless given. Closed forms are sums of normal tails; beside them, `n` points are drawn with all their
    coordinates and each moved to where it is worst. A classifier of accuracy 1 - delta has at most a robust accuracy of
    p / (1 - p) delta if eps is at least 2 eta (Theorem 2.1); the bound is given where that holds and is below 1, of the
    three classifiers and for `deltas`.
    """
    strength = 3 / np.sqrt(d) if eta is None else eta
    radius = 2 * strength if eps is None else eps
    classifiers = {"mean": (0.0, 1 / d), "first": (1.0, 0.0), "both": (1.0, 1.0)}
    first, rest = drawn(draw, n, d, p, strength)
    found = [Finding("eta", float(strength)), Finding("eps", float(radius))]
    for name, (a, b) in classifiers.items():
        for kind, moved in (("natural", 0.0), ("robust", radius)):
            exact = accuracy(a, b, d, p, strength, moved)
            margin = a * first + b * rest - moved * (abs(a) + d * abs(b))
            found += [
                Finding(f"{kind}_accuracy", exact, at=f"{name}, closed form"),
                numbers.share(f"{kind}_accuracy", margin > 0, f"{name}, simulated"),
            ]
        found += _bound(f"{name}, closed form", 1 - accuracy(a, b, d, p, strength, 0.0), p, radius >= 2 * strength)
    for delta in deltas:
        found += _bound(f"delta={delta:.6g}", delta, p, radius >= 2 * strength)
    return tuple(found)


def _bound(at: str, delta: float, p: float, applies: bool) -> Iterator[Finding]:
    if applies and p < 1 and (most := p / (1 - p) * delta) < 1:
        yield Finding("robust_accuracy_bound", most, at=at)


def accuracy(a: float, b: float, d: int, p: float, eta: float, eps: float) -> float:
    """P(y (a x_1 + b sum x_j) > eps ||w||_1): the sum is normal with mean d eta y and variance d; 0 counts as wrong."""
    moved = eps * (abs(a) + d * abs(b))
    return float(
        p * _tail(a + b * d * eta - moved, abs(b) * np.sqrt(d))
        + (1 - p) * _tail(-a + b * d * eta - moved, abs(b) * np.sqrt(d))
    )


def _tail(mean: float, deviation: float) -> float:
    """P(N(mean, deviation^2) > 0)."""
    return float(norm.cdf(mean / deviation)) if deviation else float(mean > 0)


def drawn(draw: Generator, n: int, d: int, p: float, eta: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """y x_1 and y (x_2 + ... + x_{d+1}) of n points, each (n,); labels turn the signs and nothing else."""
    first = np.where(draw.random(n) < p, 1.0, -1.0)
    rest = np.empty(n)
    rows = max(1, CHUNK // d)
    for start in range(0, n, rows):
        part = rest[start : start + rows]
        part[:] = (eta + draw.standard_normal((len(part), d))).sum(axis=1)
    return first, rest
