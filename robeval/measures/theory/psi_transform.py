"""The psi-transform of surrogate losses (Zhang et al., 2019, Definition 2 and Table 2; Bartlett et al., 2006)."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from robeval.measures.registry import measure
from robeval.values.measurement import Finding
from robeval.values.parameters import Count

Loss = Callable[[float], float]
FURTHEST = 40.0  # scores beyond which no loss of the table falls in float64


def _entropy(theta: float) -> float:
    """((1 + theta) log2(1 + theta) + (1 - theta) log2(1 - theta)) / 2, with 0 log 0 = 0."""
    parts = np.array([1 + theta, 1 - theta])
    return float((parts * np.log2(parts, out=np.zeros(2), where=parts > 0)).sum() / 2)


LOSSES: dict[str, Loss] = {
    "hinge": lambda a: max(1 - a, 0.0),
    "sigmoid": lambda a: float(1 - np.tanh(a)),
    "exponential": lambda a: float(np.exp(-a)),
    "logistic": lambda a: float(np.logaddexp(0, -a) / np.log(2)),
}
CLOSED: dict[str, Callable[[float], float]] = {
    "hinge": lambda theta: theta,
    "sigmoid": lambda theta: theta,
    "exponential": lambda theta: float(1 - np.sqrt(1 - theta**2)),
    "logistic": _entropy,
}


@measure("psi_transform", about="theory", paper="arXiv:1901.08573", version=2)
def psi_transform(draw: Generator, *, points: Count = 20) -> tuple[Finding, ...]:
    """psi(theta) of the hinge, sigmoid, exponential and logistic loss at `points` + 1 thetas in [0, 1].

    psi is the largest convex function below H-((1 + theta) / 2) - H((1 + theta) / 2), where H(eta) is the least
    conditional risk eta phi(a) + (1 - eta) phi(-a) over all scores a, and H- over those of the wrong sign. Both are
    minimised numerically and stand beside the closed form of the table; `psi_difference` is how far the two are apart.
    """
    thetas = np.linspace(0, 1, points + 1)
    found: list[Finding] = []
    for name, loss in LOSSES.items():
        numeric = convex_below(thetas, np.array([gap(loss, theta) for theta in thetas]))
        closed = np.array([CLOSED[name](float(theta)) for theta in thetas])
        for theta, formula, value in zip(thetas, closed, numeric, strict=True):
            found += [Finding("psi", float(formula), at=f"{name}, theta={theta:.6g}, closed form")]
            found += [Finding("psi", float(value), at=f"{name}, theta={theta:.6g}, minimised")]
        furthest = float(np.abs(numeric - closed).max())
        found += [Finding("psi_difference", furthest, at=f"{name}, largest of all theta")]
    return tuple(found)


def gap(loss: Loss, theta: float) -> float:
    """H-((1 + theta) / 2) - H((1 + theta) / 2)."""
    eta = (1 + theta) / 2

    def risk(score: float) -> float:
        return eta * loss(score) + (1 - eta) * loss(-score)

    return _least(risk, -FURTHEST, 0.0) - _least(risk, -FURTHEST, FURTHEST)


def _least(risk: Loss, low: float, high: float) -> float:
    """The least risk between two scores: the best of a grid, improved between its neighbours."""
    grid = np.linspace(low, high, 801)
    values = [risk(float(score)) for score in grid]
    place = int(np.argmin(values))
    around = (float(grid[max(place - 1, 0)]), float(grid[min(place + 1, len(grid) - 1)]))
    return min(
        values[place], float(minimize_scalar(risk, bounds=around, method="bounded", options={"xatol": 1e-12}).fun)
    )


def convex_below(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest convex function below the points, at the points: their lower hull."""
    hull: list[int] = []
    for place in range(len(x)):
        while len(hull) > 1 and _above(x, y, hull[-2], hull[-1], place):
            hull.pop()
        hull.append(place)
    return np.interp(x, x[hull], y[hull])


def _above(x: NDArray[np.float64], y: NDArray[np.float64], first: int, middle: int, last: int) -> bool:
    """Whether the middle point is on or above the line between the others."""
    rise = (y[last] - y[first]) * (x[middle] - x[first])
    return bool((y[middle] - y[first]) * (x[last] - x[first]) >= rise)
