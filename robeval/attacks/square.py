"""Square Attack: random search with square changes (Andriushchenko et al., 2020, https://arxiv.org/abs/1912.00049)."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops import geometry
from robeval.ops.decisions import misclassified
from robeval.ops.losses import margin
from robeval.ops.microbatch import by_row
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, PositiveShare
from robeval.values.threat import ThreatModel

# Iterations after which the released code halves the share of pixels in a square, meant for 10,000 iterations.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
PLANNED = 10_000
# Random numbers are drawn for so many queries at once: few calls, and little memory for many images.
BLOCK = 250

# A pixel box cut with the ball, the clean images, the best points and the random numbers of one query: a proposal.
Move = Callable[..., Tensor]


@attack("square", norms=("linf", "l2", "l1"), paper="arXiv:1912.00049", gradients=False)
def square(
    problem: Problem,
    *,
    queries: Count = 5000,
    p_init: PositiveShare = 0.8,
    rescale: bool = False,
    parity: Literal["none", "autoattack"] = "none",
) -> Tensor:
    """Try random squares and keep each that raises the margin loss, until the image is misclassified (Algorithm 1).

    Squares are those of Algorithm 2 (l-inf) and Algorithm 3 (l2; l1 after Croce & Hein, 2021, arXiv:2103.01208). Every
    image gets squares of its own, anywhere in the image.
    Cost: at most `queries` forwards (one more with parity); none after success.

    Parameters:
        queries: forwards for an image, at most; AutoAttack's.
        p_init: share of the pixels that the first squares cover; AutoAttack's.
        rescale: shrink the squares in proportion to the budget, as the paper does; off, as in AutoAttack, the share is
            halved after the same iterations whatever the budget.
        parity: with "autoattack" the last row and column of positions are never drawn, equal logits end the search, and
            the start is not counted as a query, as in the released code, which also lets all images share one place.
    """
    x, y = problem.x, problem.y
    official = parity == "autoattack"
    start, move, numbers = _way(problem.threat, x.shape, official)
    bounds = geometry.limits(x, problem.threat)
    draws = torch.empty(0)
    best, trial = x.clone(), start(problem)  # both (n, c, h, w)
    highest = torch.full_like(y, -torch.inf, dtype=x.dtype)
    for query in problem.steps(queries + official):
        rows = problem.active
        if query:
            iteration = query - 1
            if iteration % BLOCK == 0:
                draws = problem.noise.uniform([BLOCK, numbers])
            side = _side(_share(iteration, queries, p_init, rescale), x.shape, problem.threat.norm)
            given = (each[rows] for each in (*bounds, x, best, draws[:, iteration % BLOCK]))
            trial[rows] = by_row(partial(move, side), geometry.ROWS, *given)
        logits = problem.logits(trial)[rows]
        loss = margin(logits, y[rows]).where(logits.isfinite().all(dim=1), -torch.inf)
        broken = loss >= 0 if official else misclassified(logits, y[rows])
        better = (loss > highest[rows]) | broken
        best[rows[better]] = trial[rows[better]]
        highest[rows[better]] = loss[better]
        problem.retire(rows[broken])
    return best


def _way(threat: ThreatModel, shape: torch.Size, official: bool) -> tuple[Callable[[Problem], Tensor], Move, int]:
    """The start, the move, and how many random numbers a move takes."""
    if threat.norm == "linf":
        return _stripes, partial(_recolour, threat, official), 2 + shape[1]
    return _tiles, partial(_gather_mass, threat, official), 5 + shape[1]


def _share(iteration: int, queries: int, p_init: float, rescale: bool) -> float:
    """The share of pixels in a square."""
    if rescale:
        iteration = int(iteration / queries * PLANNED)
    return float(p_init / 2 ** sum(iteration > mark for mark in HALVINGS))


def _side(share: float, shape: torch.Size, norm: str) -> int:
    """The side of a square; for l2 and l1 it is odd and at least 3, and never longer than the image."""
    height, width = shape[2:]
    side = round(math.sqrt(share * height * width))
    side = max(side, 1) if norm == "linf" else max(side, 3) | 1
    return min(side, height, width)


# ── l-inf ──


def _stripes(problem: Problem) -> Tensor:
    """Columns of x - eps and x + eps, chosen at random for each channel (section 3.3)."""
    _, channels, _, width = problem.x.shape
    signs = _signs(problem.noise.uniform([channels, 1, width]))
    return problem.project(problem.x + problem.threat.eps * signs)


def _recolour(
    threat: ThreatModel, official: bool, side: int, low: Tensor, high: Tensor, x: Tensor, best: Tensor, numbers: Tensor
) -> Tensor:
    """Algorithm 2: one square moves by 2 eps up or down in each channel."""
    inside, _, _ = _window(numbers[:, :2], side, x.shape, official)
    signs = _signs(numbers[:, 2:])[:, :, None, None]
    return (best + 2 * threat.eps * signs * inside[:, None]).clamp(low, high)


# ── l2 and l1 ──


def _tiles(problem: Problem) -> Tensor:
    """Bumps side by side all over the image, about five in each direction, each turned and signed at random."""
    n, channels, height, width = problem.x.shape
    side = max(min(height, width) // 5, 1)
    down, across = height // side, width // side
    numbers = problem.noise.uniform([down, across, 1 + channels])
    bumps = _turned(_bump(side, problem.threat.norm).to(problem.x), numbers[..., 0])  # (n, down, across, side, side)
    signed = bumps[:, :, :, None] * _signs(numbers[..., 1:])[..., None, None]
    block = signed.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, down * side, across * side)
    top, left = (height - down * side) // 2, (width - across * side) // 2
    delta = torch.zeros_like(problem.x)
    delta[:, :, top : top + down * side, left : left + across * side] = block
    if problem.threat.norm == "l2":
        delta = (problem.threat.eps * delta / (problem.norms(delta, "l2") + 1e-12)).to(delta.dtype)
    return problem.project(problem.x + delta)


def _gather_mass(
    threat: ThreatModel, official: bool, side: int, low: Tensor, high: Tensor, x: Tensor, best: Tensor, numbers: Tensor
) -> Tensor:
    """Algorithm 3: one window takes the change of another, and what is left of eps, in the shape of a bump.

    The l1 version gives the window as many times more as there are channels, and leaves the rest to the projection.
    """
    power = 2 if threat.norm == "l2" else 1
    pixels, channels = (2, 3), x.shape[1]

    def mass(change: Tensor, over: tuple[int, ...]) -> Tensor:
        return change.abs().pow(power).sum(dim=over, keepdim=True)

    def unit(change: Tensor, over: tuple[int, ...]) -> Tensor:
        return change / (mass(change, over) ** (1 / power) + 1e-12)

    delta = best - x
    to, down, across = _window(numbers[:, :2], side, x.shape, official)
    off, _, _ = _window(numbers[:, 2:4], side, x.shape, official)
    to, off = to[:, None], off[:, None]  # (n, 1, h, w)
    bumps = _turned(_bump(side, threat.norm).to(x), numbers[:, 4])  # (n, side, side)
    rows = torch.arange(len(x), device=x.device)[:, None, None]
    bump = bumps[rows, down[:, :, None], across[:, None, :]][:, None] * _signs(numbers[:, 5:])[:, :, None, None]
    new = unit(to * (bump + unit(to * delta, pixels)), pixels)
    unused = (threat.eps**power - mass(delta, (1, 2, 3))).clamp_min(0)
    budget = (unused / channels + mass((to | off) * delta, pixels)) ** (1 / power)
    gain = 1 if threat.norm == "l2" else channels
    delta = torch.where(to, gain * budget * new, delta.where(~off, 0.0))
    if threat.norm == "l2":
        delta = threat.eps * unit(delta, (1, 2, 3))
    return geometry.project(x + delta, x, threat, (low, high))


@cache
def _bump(side: int, norm: str) -> Tensor:
    """A hill above a valley, of norm 1, (side, side) (section 3.4; the l1 version has steeper hills)."""
    upper = side // 2
    halves = [_hill(upper, side, norm), -_hill(side - upper, side, norm)]
    return _of_norm_1(torch.cat(halves), norm)


def _hill(height: int, width: int, norm: str) -> Tensor:
    """Nested rectangles around the middle; the k-th of them adds 1 / k^2 (l2) or 1 / k^4 (l1)."""
    furthest = max(height // 2, width // 2)
    steps = 1 / torch.arange(1, furthest + 2) ** (2 if norm == "l2" else 4)
    levels = steps.flip(0).cumsum(0).flip(0)  # at each distance from the middle
    rows, columns = ((torch.arange(size) - size // 2).abs() for size in (height, width))
    return _of_norm_1(levels[torch.maximum(rows[:, None], columns[None])], norm)


def _of_norm_1(shape: Tensor, norm: str) -> Tensor:
    return shape / torch.linalg.vector_norm(shape, ord=2 if norm == "l2" else 1).clamp_min(1e-12)


def _turned(bump: Tensor, numbers: Tensor) -> Tensor:
    """The bump on its side wherever the number is above 1/2, (*numbers.shape, side, side)."""
    return torch.where((numbers > 0.5)[..., None, None], bump.T, bump)


# ── both ──


def _window(numbers: Tensor, side: int, shape: torch.Size, official: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A square at a place of each row's own: its mask (n, h, w), and the row (n, h) and column (n, w) within it."""
    within = []
    for number, length in zip(numbers.unbind(1), shape[2:], strict=True):
        places = length - side + (not official)
        first = (number.double() * places).long()
        within.append(torch.arange(length, device=numbers.device) - first[:, None])
    down, across = ((each >= 0) & (each < side) for each in within)
    mask = down[:, :, None] & across[:, None, :]
    rows, columns = (each.clamp(0, side - 1) for each in within)
    return mask, rows, columns


def _signs(numbers: Tensor) -> Tensor:
    """-1 below 1/2 and 1 above."""
    return torch.where(numbers < 0.5, -1.0, 1.0)
