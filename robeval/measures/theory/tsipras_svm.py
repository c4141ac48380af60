"""Adversarial training of a soft-margin SVM gives up all weak features (Tsipras et al., 2019, Theorem 2.2)."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.random import Generator
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.measures.theory.tsipras import accuracy, drawn
from robeval.values.measurement import Finding
from robeval.values.parameters import Bound, Count, Positive


def _check(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    least = 4 / np.sqrt(params["d"])
    if params["eta"] is not None and params["eta"] < least:
        yield f"eta is {params['eta']:g}, and the theorem begins at 4 / sqrt(d) = {least:g}", "Give a larger eta or d."


@measure("tsipras_svm", about="theory", check=_check, paper="arXiv:1805.12152")
def tsipras_svm(
    draw: Generator,
    *,
    d: Count = 100,
    p: Annotated[float, Bound(0.5, open=True, high=0.975)] = 0.95,
    eta: Positive | None = None,
    n: Count = 20_000,
) -> tuple[Finding, ...]:
    """Natural and robust accuracy at eps = 2 eta of the best unit-norm SVM, trained as usual and adversarially.

    The expected hinge loss of a mixture of two normals is a closed form; by symmetry the best weights are (cos, sin /
    sqrt(d), ..., sin / sqrt(d)) of one angle, which is found numerically. eta is 4 / sqrt(d) unless given. Standard
    training is more than 99 % accurate and less than 1 % robust; adversarial training looks at x_1 alone and is p, p.
    """
    strength = 4 / np.sqrt(d) if eta is None else eta
    eps = 2 * strength
    first, rest = drawn(draw, n, d, p, strength)
    found = [Finding("eta", float(strength)), Finding("eps", float(eps))]
    for training, radius in (("standard", 0.0), ("adversarial", eps)):
        angle = best_angle(d, p, strength, radius)
        a, b = np.cos(angle), np.sin(angle) / np.sqrt(d)
        found += [Finding("weight_of_x1", float(a), at=training)]
        for kind, moved in (("natural", 0.0), ("robust", eps)):
            margin = a * first + b * rest - moved * (abs(a) + d * abs(b))
            found += [
                Finding(f"{kind}_accuracy", accuracy(a, b, d, p, strength, moved), at=f"{training}, closed form"),
                numbers.share(f"{kind}_accuracy", margin > 0, f"{training}, simulated"),
            ]
    return tuple(found)


def expected_hinge(angle: float, d: int, p: float, eta: float, eps: float) -> float:
    """E max(0, 1 - (y w.x - eps ||w||_1)) of the weights of an angle."""
    a, b = np.cos(angle), np.sin(angle) / np.sqrt(d)
    moved = eps * (abs(a) + d * abs(b))
    deviation = abs(b) * np.sqrt(d)
    right, wrong = a + b * d * eta - moved, -a + b * d * eta - moved  # means where x_1 = y, and where it is not
    return p * _hinge(right, deviation) + (1 - p) * _hinge(wrong, deviation)


def _hinge(mean: float, deviation: float) -> float:
    """E max(0, 1 - m) for m normal."""
    gap = 1 - mean
    if deviation < 1e-12:
        return max(gap, 0.0)
    return float(gap * norm.cdf(gap / deviation) + deviation * norm.pdf(gap / deviation))


def best_angle(d: int, p: float, eta: float, eps: float) -> float:
    """The angle of the least expected hinge loss, in [0, pi / 2]: the best of a grid, and between its neighbours."""
    grid = np.linspace(0, np.pi / 2, 1001)
    losses = [expected_hinge(float(angle), d, p, eta, eps) for angle in grid]
    place = int(np.argmin(losses))
    around = (float(grid[max(place - 1, 0)]), float(grid[min(place + 1, len(grid) - 1)]))
    found = minimize_scalar(expected_hinge, args=(d, p, eta, eps), bounds=around, method="bounded")
    return float(found.x) if found.fun < losses[place] else float(grid[place])
