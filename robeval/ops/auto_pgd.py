"""Auto-PGD (Croce & Hein, 2020, Algorithm 1) and its l1 form (Croce & Hein, 2021): the loop of several attacks.

Where the papers and the authors' released code differ, this is the code, as all published numbers were made
with it. Its points are equal to the code's as far as float32 rounding goes; each choice is noted where it is made.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from robeval.ops import geometry
from robeval.ops.geometry import per_row
from robeval.ops.losses import Loss
from robeval.ops.microbatch import by_row
from robeval.ops.problem import Problem

Parity = Literal["none", "autoattack"]
IntoBall = Callable[[Problem, Tensor, Tensor | None, float], Tensor]

MOMENTUM = 0.75  # alpha of equation 1, the weight of the new step
RADII = ((3, 0.3), (2, 0.3))  # l1: multiples of eps, and the share of the steps made in such a ball


class Trail:
    """What a run has seen so far: of each row the best point, and the last that was misclassified.

    Args:
        eps: the ball to move points into before the model is asked about them, where they may be a little outside.

    Attributes:
        best: the point of highest loss, float32 (n, c, h, w); the start while every loss was NaN.
        value: the loss there, float32 (n,).
        slope: the gradient there, float32 (n, c, h, w).
        broken: whether any point was misclassified, bool (n,).
        answer: the last misclassified point, and where there is none the best.
    """

    def __init__(
        self, problem: Problem, start: Tensor, loss: Loss, target: Tensor | None, eps: float | None = None
    ) -> None:
        self._problem, self._loss, self._target, self._eps = problem, loss, target, eps
        self.best, self.slope, self._last = start.clone(), torch.zeros_like(start), start.clone()
        self.value = start.new_full((len(start),), -torch.inf)
        self.broken = torch.zeros_like(problem.y, dtype=torch.bool)

    def visit(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, float32 (n,), and its gradient at the points, one pass each way."""
        asked = self._inside(points)
        logits, value, slope = self._problem.ask(asked, self._loss, self._target)
        usable = torch.zeros_like(self.broken).index_fill(0, self._problem.active, True)
        usable &= logits.isfinite().all(dim=1)
        better = usable & (value > self.value)
        self.best[better], self.value[better], self.slope[better] = points[better], value[better], slope[better]
        wrong = usable & (logits.argmax(dim=1) != self._problem.y)
        self._last[wrong] = asked[wrong]
        self.broken |= wrong
        return value, slope

    def back_to_best(self, rows: Tensor, points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Points and gradients, in the given rows, bool (n,), those of the best point."""
        rows = per_row(rows)
        return torch.where(rows, self.best, points), torch.where(rows, self.slope, slope)

    @property
    def answer(self) -> Tensor:
        """The candidates."""
        return torch.where(per_row(self.broken), self._last, self._inside(self.best))

    def _inside(self, points: Tensor) -> Tensor:
        return points if self._eps is None else self._problem.project(points, self._eps)


def auto_pgd(
    problem: Problem,
    loss: Loss,
    target: Tensor | None,
    steps: int,
    rho: float,
    parity: Parity = "none",
    clock: Iterator[int] | None = None,
) -> Trail:
    """One run from a new random start.

    Args:
        loss, target: as for `Problem.ask`.
        steps: N_iter of the paper.
        rho: for l-inf and l2 the step size is halved where fewer steps than this share have raised the loss.
        parity: "autoattack" for l1 points that are rounded as the code's are.
        clock: where the steps are taken from, if there are more than those of this run.
    """
    clock = problem.steps(steps) if clock is None else clock
    if problem.threat.norm == "l1":
        into_ball = _into_ball if parity == "none" else _into_ball_as_released
        return _through_shrinking_balls(problem, into_ball, loss, target, steps, clock)
    return _with_momentum(problem, loss, target, steps, rho, clock)


def checkpoints(steps: int) -> dict[int, int]:
    """After how many steps the step sizes are looked at, and how many steps ago that was last done.

    Section 3.2: after shares p_1 = 0.22 and p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06). The code rounds each
    number down, so that of 100 steps it is after 22, 41, 57, 70, 80, 87, 93 and 99.
    """
    gap, less, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    found, at = {}, gap
    while at <= steps:
        found[at] = gap
        gap = max(gap - less, least)
        at += gap
    return found


def _with_momentum(
    problem: Problem, loss: Loss, target: Tensor | None, steps: int, rho: float, clock: Iterator[int]
) -> Trail:
    """Algorithm 1 of the 2020 paper, for l-inf and l2."""
    point = previous = problem.project(_onto_sphere(problem))
    trail = Trail(problem, point, loss, target)
    _, slope = trail.visit(point)
    size = per_row(torch.full_like(trail.value, 2 * problem.threat.eps))
    check = checkpoints(steps)
    # The code compares the first loss with 0 instead of that of the start.
    before, rises = torch.zeros_like(trail.value), torch.zeros_like(trail.value)
    best_then, halved = trail.value.clone(), torch.ones_like(trail.broken)
    for step, _ in zip(range(steps), clock):
        ahead = problem.project(point + size * problem.steepest(slope))  # z of equation 1
        share = MOMENTUM if step else 1.0
        moved = problem.project(point + share * (ahead - point) + (1 - share) * (point - previous))
        previous, point = point, moved
        value, slope = trail.visit(point)
        rises += value > before
        before = value
        if step + 1 in check:
            stuck = rises <= rho * check[step + 1]  # condition 1; "<" in the paper
            halved = stuck | (~halved & (trail.value <= best_then))  # or condition 2
            size = torch.where(per_row(halved), size / 2, size)
            # Back to the best point; `previous` stays, so the next step's momentum includes that jump.
            point, slope = trail.back_to_best(halved, point, slope)
            best_then, rises = trail.value.clone(), torch.zeros_like(rises)
    return trail


def _onto_sphere(problem: Problem) -> Tensor:
    """Random points whose distance is eps, if the pixel box allows it: the code's start."""
    if problem.threat.norm == "linf":
        way = 2 * problem.noise.uniform(problem.x.shape[1:]) - 1
    else:
        way = problem.noise.normal(problem.x.shape[1:])
    length = problem.norms(way, problem.threat.norm).clamp_min(1e-300)
    return problem.x + problem.threat.eps * (way.double() / length).float()


def _through_shrinking_balls(
    problem: Problem, into_ball: IntoBall, loss: Loss, target: Tensor | None, steps: int, clock: Iterator[int]
) -> Trail:
    """Multi-eps APGD (2021, section 3.3): most of the way in balls that are too large; only the last one counts."""
    eps, left = problem.threat.eps, steps
    point = into_ball(problem, problem.x + problem.noise.normal(problem.x.shape[1:]), None, RADII[0][0] * eps)
    for factor, share in RADII:
        count = min(math.ceil(share * steps), left)
        point = _with_sparse_steps(problem, into_ball, point, factor * eps, loss, target, count, clock).best
        left -= count
    return _with_sparse_steps(problem, into_ball, point, eps, loss, target, left, clock)


def _with_sparse_steps(
    problem: Problem, into_ball: IntoBall, start: Tensor, eps: float, loss: Loss, target: Tensor | None, steps: int,
    clock: Iterator[int],
) -> Trail:  # fmt: skip
    """Algorithm 1 of the 2021 paper, for l1: the number of pixels that a step changes follows that of the best point.

    A pixel that the projection takes back to the image's value counts as unchanged; in the code rounding leaves some
    a last bit away, and they count. Counts and sorted values of a row are exact, so they need no fixed number of rows.
    """
    pixels = math.prod(problem.x.shape[1:])
    point = problem.clip(into_ball(problem, start, None, eps))
    trail = Trail(problem, point, loss, target, None if into_ball is _into_ball else eps)
    _, slope = trail.visit(point)
    size = torch.full_like(trail.value, eps)
    support = _changed(problem, point)
    gap = max(int(0.04 * steps), 1)
    for step, _ in zip(range(steps), clock):
        way = _largest_signs(slope, support / pixels / 1.5)
        many = per_row(way.count_nonzero(dim=(1, 2, 3)).clamp_min(1))
        point = into_ball(problem, point, per_row(size) * way / many, eps)
        _, slope = trail.visit(point)
        if (step + 1) % gap == 0:
            now = _changed(problem, trail.best)
            sparser = now / support < 0.95
            size = torch.where(sparser, eps, (size / 1.5).clamp_min(eps / 10))
            point, slope = trail.back_to_best(sparser, point, slope)
            support = now
    return trail


def _into_ball(problem: Problem, points: Tensor, step: Tensor | None, eps: float) -> Tensor:
    """Points, a step further if one is given, moved into the l1 ball and the pixel box."""
    return problem.project(points if step is None else points + step, eps)


def _into_ball_as_released(problem: Problem, points: Tensor, step: Tensor | None, eps: float) -> Tensor:
    """The same in float32, in the order in which the code adds and subtracts: up to rounding in ball and box."""
    x = problem.x
    change = points - x if step is None else points + step - x
    here = points if step is None else x + change
    return here + by_row(_way_back, geometry.ROWS, x, change, torch.full_like(problem.y, eps, dtype=x.dtype))


def _way_back(images: Tensor, change: Tensor, eps: Tensor) -> Tensor:
    """What to add to images that are changed so, to be at the nearest point of box and l1 ball, float32.

    Each change is shrunk by one number of its row, `shrink`, and at least by what it is outside of the box. The sum of
    the changes is piecewise linear in it and falls by `slope` between two `kinks`, where a pixel leaves the border of
    the box or is back at the image.
    """
    size, sign = change.flatten(1).abs(), change.flatten(1).sign()
    x, change = images.flatten(1), change.flatten(1)
    out = -torch.minimum(1 - x - change, x + change).clamp_max(0)
    kinks, order = torch.cat([out, size], dim=1).sort(dim=1)
    slope = torch.where(order < out.shape[1], 1.0, -1.0).cumsum(dim=1)
    after = torch.cat([kinks[:, 1:], torch.zeros_like(kinks[:, :1])], dim=1)
    gone = out.sum(dim=1, keepdim=True)  # what the box alone takes away
    need = eps[:, None] - size.sum(dim=1, keepdim=True)
    taken = gone + ((after - kinks) * slope).cumsum(dim=1)
    place = ((taken + need < 0).sum(dim=1, keepdim=True) - 1).clamp(0, slope.shape[1] - 2)
    shrink = (-taken.gather(1, place) - need) / slope.gather(1, place + 1) + after.gather(1, place)
    less = torch.where(gone + need < 0, torch.minimum(torch.maximum(out, shrink), size), out)
    return -(sign * less).view_as(images)


def _changed(problem: Problem, points: Tensor) -> Tensor:
    """How many pixels of each point differ from the image, int64 (n,)."""
    return (points != problem.x).flatten(1).sum(dim=1)


def _largest_signs(slope: Tensor, share: Tensor) -> Tensor:
    """The sign of that share, float32 (n,), of each row's entries that is largest in size, and 0 elsewhere."""
    size = slope.abs().flatten(1)
    pixels = size.shape[1]
    place = ((1 - share) * pixels).long().clamp(0, pixels - 1)
    least = size.sort(dim=1).values.gather(1, place[:, None])  # (n, 1)
    return slope.sign() * (size >= least).view_as(slope)
