"""Box-constrained L-BFGS (Szegedy et al., 2014, https://arxiv.org/abs/1312.6199)."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.geometry import per_row
from robeval.ops.lockstep import lockstep
from robeval.ops.losses import cross_entropy
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.ops.targets import ranked
from robeval.values.parameters import Count, Positive

Point = NDArray[np.float64]
Told = tuple[float, Point, bool]  # cross-entropy to the target, its slope, and whether the point is misclassified
Ask = Callable[[Point], Told]

_TOGETHER = 256  # optimisers that run side by side
_SCALE = 1e10  # of the objective, so that the optimiser's tolerances do not end it early


@attack("lbfgs", norms=("l2",), paper="arXiv:1312.6199", minimal=True)
def lbfgs(
    problem: Problem,
    *,
    steps: Count = 150,
    memory: Count = 15,
    first: Positive = 2e-5,
    doublings: Count = 30,
    precision: Positive = 1e-5,
    lengths: Count = 1000,
) -> Tensor:
    """Minimise mean (x' - x)^2 + c CE(x', t) inside the pixel box for the smallest c that works (section 4.1).

    c begins at `first` and doubles until the result is misclassified, then the bracket is halved until it is
    shorter than `precision`. Defaults are those of the library that TRADES (Table 5) used. The target t is the first
    class that a step along the gradient reaches, trying `lengths` lengths up to the whole pixel range (and 20 finer
    ones if it is among the first 20), or else a random wrong class. Every misclassified image on the way is a
    candidate. The optimiser is SciPy's L-BFGS-B with `memory` pairs and `steps` iterations, one per image, whose
    questions the model answers in one batch. Cost: about 1.1 forwards and backwards per iteration, for each c.
    """
    nearest = Nearest(problem)
    target = _target(problem, nearest, lengths)
    low, high = problem.threat.box

    def answers(asked: Mapping[int, Point]) -> dict[int, Told]:
        """Ask the model about one point of each row."""
        rows = torch.tensor(sorted(asked), device=problem.y.device)
        points = problem.x.clone()
        stacked = np.stack([asked[row] for row in sorted(asked)])
        points[rows] = torch.from_numpy(stacked).to(points).view_as(points[rows])
        with problem.only(rows):
            logits, values, slopes = problem.ask(points, cross_entropy, target)
            wrong = nearest.see(points, logits)
        told = zip(values[rows].tolist(), slopes[rows].double().flatten(1).cpu().numpy(), wrong[rows].tolist())
        return dict(zip(sorted(asked), told, strict=True))

    def work(row: int) -> Callable[[Ask], None]:
        x = problem.x[row].double().flatten().cpu().numpy()

        def search(ask: Ask) -> None:
            smaller, larger, c = 0.0, np.inf, first
            for _ in range(doublings):
                if _descend(ask, x, c, low, high, memory, steps):
                    larger = c
                    break
                smaller, c = c, 2 * c
            while precision < larger - smaller < np.inf:
                c = (smaller + larger) / 2
                if _descend(ask, x, c, low, high, memory, steps):
                    larger = c
                else:
                    smaller = c

        return search

    rows = problem.active.tolist()
    for start in range(0, len(rows), _TOGETHER):
        lockstep({row: work(row) for row in rows[start : start + _TOGETHER]}, answers)
    return nearest.points


def _descend(ask: Ask, x: Point, c: float, low: float, high: float, memory: int, steps: int) -> bool:
    """Whether the minimiser of the objective with this c is misclassified."""
    span = (high - low) ** 2 * x.size

    def objective(point: Point) -> tuple[float, Point]:
        value, slope, _ = ask(point)
        delta = point - x
        return _SCALE * float(delta @ delta / span + c * value), _SCALE * (2 * delta / span + c * slope)

    options = {"maxcor": memory, "maxiter": steps}
    found = minimize(objective, x, jac=True, method="L-BFGS-B", bounds=[(low, high)] * x.size, options=options)
    return ask(np.clip(found.x, low, high))[2]


def _target(problem: Problem, nearest: Nearest, lengths: int) -> Tensor:
    """The first wrong class of each row along its gradient, or a random one, int64 (n,)."""
    order = ranked(problem.logits(problem.x), problem.y).sort(dim=1).values  # (n, k - 1)
    drawn = (problem.noise.uniform([1]).double() * order.shape[1]).long()
    target = order.gather(1, drawn).squeeze(1)
    slope = problem.gradient(problem.x, cross_entropy)
    low, high = problem.threat.box
    size = problem.norms(slope, "l2").clamp_min(1e-300) / math.prod(slope.shape[1:]) ** 0.5
    direction = ((high - low) * slope.double() / size).float()  # of root mean square 1
    every = torch.full_like(problem.y, 1.0, dtype=torch.float64)
    target, place = _first_reached(problem, nearest, direction, every, lengths, problem.active, target)
    near = problem.active[place[problem.active] < 20]
    return _first_reached(problem, nearest, direction, (place + 1) / lengths, 20, near, target)[0]


def _first_reached(
    problem: Problem, nearest: Nearest, direction: Tensor, furthest: Tensor, lengths: int, rows: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """The class at the first of `lengths` equal steps that is misclassified, and that step's number.

    Rows that reach none keep their `target`, and have the number of all steps.
    """
    target, place = target.clone(), torch.full_like(problem.y, lengths)
    for step in range(lengths):
        if not len(rows):
            break
        with problem.only(rows):
            length = per_row(furthest * (step + 1) / lengths)
            points = problem.clip((problem.x + length * direction).float())
            logits = problem.logits(points)
            wrong = nearest.see(points, logits)
        target, place = torch.where(wrong, logits.argmax(dim=1), target), torch.where(wrong, step, place)
        rows = rows[~wrong[rows]]
    return target, place
