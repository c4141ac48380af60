"""The empirical local Lipschitz constant (Yang et al., 2020, equation 3, https://arxiv.org/abs/2003.02460)."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.ops.geometry import per_row
from robeval.ops.problem import Problem
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Count, Positive

OFFSET = 1e-6  # which the released code adds to every difference
RELEASED_STEP = 0.003


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    found = columns["lipschitz"]
    yield numbers.mean("lipschitz", found)
    yield numbers.median("lipschitz_median", found)
    yield numbers.largest("lipschitz_max", found)


@measure("lipschitz", about="model", summary=_findings, paper="arXiv:2003.02460", gradients=True)
def lipschitz(
    problem: Problem,
    *,
    eps: Positive,
    steps: Count = 10,
    step_size: Positive | None = None,
    variant: Literal["definition", "released"] = "definition",
    keep: Literal["final", "best"] = "final",
) -> Columns:
    """How fast the logits can change near each image: max ||f(x) - f(x')||_1 / ||x - x'||_inf within `eps` (l-inf).

    The maximum is sought from x + 0.001 N(0, I) by `steps` sign steps (eps / 5 each unless given), and taken at the
    last iterate, or with `keep = "best"` at the best. `definition` climbs the quotient. The released code follows the
    slope of the negated quotient upwards, so it descends; it takes steps of 0.003 and adds 1e-6 to every difference:
    `variant = "released"`. The two differ by an order of magnitude, and which of them the printed tables have is not
    known. Cost: `steps` + 2 forwards, `steps` backwards.
    """
    released = variant == "released"
    length = step_size or (RELEASED_STEP if released else eps / 5)
    offset, direction = (OFFSET, -1) if released else (0.0, 1)
    clean = problem.logits(problem.x)  # (n, k)
    points = problem.x + 0.001 * problem.noise.normal(problem.x.shape[1:])
    best = problem.x.new_zeros(len(problem.y), dtype=torch.float64)
    for step in problem.steps(steps):
        logits, _, rise = problem.ask(points, partial(_change, offset=offset), clean)
        change, move = _change(logits.double(), clean.double(), offset), _differences(points, problem.x, offset)
        if step:  # the start may lie outside the box
            best = best.maximum(_quotient(change, move))
        slope = direction * _slope(rise.double(), change, move)
        points = problem.project(points + length * slope.sign().float())
    change = _change(problem.logits(points).double(), clean.double(), offset)
    final = _quotient(change, _differences(points, problem.x, offset))
    return {"lipschitz": (final if keep == "final" else best.maximum(final)).cpu().numpy()}


def _change(logits: Tensor, clean: Tensor, offset: float) -> Tensor:
    """||f(x) - f(x')||_1, (n,)."""
    return (clean - logits + offset).abs().sum(dim=1)


def _differences(points: Tensor, x: Tensor, offset: float) -> Tensor:
    """x - x' in float64, (n, c, h, w)."""
    return x.double() - points.double() + offset


def _quotient(change: Tensor, move: Tensor) -> Tensor:
    """Change over move, (n,); 0 where nothing has moved."""
    length = move.abs().flatten(1).amax(dim=1)
    return torch.where(length > 0, change / length, 0.0)


def _slope(rise: Tensor, change: Tensor, move: Tensor) -> Tensor:
    """The slope of the quotient with respect to x', up to a positive factor, (n, c, h, w).

    The l-inf norm rises in all pixels that are furthest alike, each with its part.

    Args:
        rise: the slope of the change.
    """
    size = move.abs()
    length = size.flatten(1).amax(dim=1)
    furthest = (size == per_row(length)).double()
    pull = -move.sign() * furthest / per_row(furthest.flatten(1).sum(dim=1))
    return rise * per_row(length) - per_row(change) * pull
