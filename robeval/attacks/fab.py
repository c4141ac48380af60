"""Fast adaptive boundary attack (Croce & Hein, 2020, https://arxiv.org/abs/1907.02044)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops import geometry, hyperplane
from robeval.ops.losses import difference, margin
from robeval.ops.microbatch import by_row
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.ops.targets import how_many, ranked, with_true
from robeval.values.parameters import Bound, Count, Share

Parity = Literal["none", "autoattack"]
Plane = Callable[[Tensor], tuple[Tensor, Tensor]]

TARGETS = 9  # of AutoAttack
FINAL_STEPS = 3  # of Algorithm 1
# What stands for eps in random starts where there is no ball: the defaults of the authors' code.
EPS = {"linf": 0.3, "l2": 1.0, "l1": 5.0}
PUSH = 1e-4  # the least step towards a plane, as a share of the image's way to it; none in AutoAttack
FLAT = {"linf": 0.0, "l2": 1e-8, "l1": 1e-8}  # AutoAttack moves no pixel of a smaller slope
CPU_ROWS = 16  # what so many rows need at a time stays in the cache


@attack("fab", norms=("linf", "l2", "l1"), paper="arXiv:1907.02044", minimal=True)
def fab(
    problem: Problem,
    *,
    steps: Count = 100,
    alpha_max: Share = 0.1,
    eta: Annotated[float, Bound(1)] = 1.05,
    beta: Share = 0.9,
    parity: Parity = "none",
) -> Tensor:
    """Step past the nearest of the planes at which another class would win if the model were linear (Algorithm 1).

    The first restart starts at the image, later ones at a random point half of eps from it; without a ball eps is
    taken as 0.3 (linf), 1 (l2) or 5 (l1), as in the authors' code. Our own: the final search of Algorithm 1, towards
    the image, is by secants and two planes, and a step that rounding would keep from crossing the boundary is
    lengthened.
    Measured: never nearer than the exact least distance, and at most 1.0001 times as far on a linear model, 3 times on
    a network of 5 hidden units, plus 1e-5.
    Cost: per step 2 forwards and a backward for each class; 8 forwards and a backward for each class and two more
    besides.

    Parameters:
        steps: as in AutoAttack.
        alpha_max: the greatest weight of a step that begins at the image (bias towards it), without unit; the paper's.
        eta: how many times as far as the plane a step goes (extrapolation), without unit; the paper's.
        beta: to what share of its way from the image a misclassified point is moved back, without unit; the paper's.
        parity: "autoattack" has neither of our own ways, and lets pixels of a slope below 1e-8 stand still (l2, l1).
    """
    clean = problem.logits(problem.x)  # (n, k)
    classes = torch.arange(clean.shape[1], device=clean.device).expand(clean.shape)
    planes = [partial(_nearest_plane, problem, classes)]
    return _run(problem, clean, classes, planes, steps, alpha_max, eta, beta, parity)


def _fit_targets(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """`targets` filled in."""
    return {**params, "targets": how_many(params["targets"], TARGETS, classes)}


@attack("fab_targeted", norms=("linf", "l2", "l1"), paper="arXiv:1907.02044", minimal=True, fit=_fit_targets)
def fab_targeted(
    problem: Problem,
    *,
    targets: Count | None = None,
    steps: Count = 100,
    alpha_max: Share = 0.1,
    eta: Annotated[float, Bound(1)] = 1.05,
    beta: Share = 0.9,
    parity: Parity = "none",
) -> Tensor:
    """FAB with the plane of one wrong class at a time, the likeliest first; the nearest of all results (FAB-T).

    The version of AutoAttack (arXiv:2003.01690); the rest is as in `fab`.
    Measured: never nearer than the exact least distance, and at most 1.0001 times as far on a linear model, 3 times on
    a network of 5 hidden units, plus 1e-5.
    Cost: per target and step 2 forwards and 1 backward; 8 forwards and a backward for each target and two more
    besides.

    Parameters:
        targets: how many classes; AutoAttack's 9 unless given, or all wrong ones where there are fewer.
        steps: for each target; as in AutoAttack.
        alpha_max: as in `fab`.
        eta: as in `fab`.
        beta: as in `fab`.
        parity: as in `fab`; besides, images that are broken within eps are left out by the targets that follow.
    """
    clean = problem.logits(problem.x)  # (n, k)
    order = ranked(clean, problem.y)[:, : targets or TARGETS]  # (n, targets)
    planes = [partial(_plane_of, problem, with_true(problem.y, wanted)) for wanted in order.unbind(dim=1)]
    return _run(problem, clean, order, planes, steps, alpha_max, eta, beta, parity)


def _run(
    problem: Problem,
    clean: Tensor,
    rivals: Tensor,
    planes: Sequence[Plane],
    steps: int,
    alpha_max: float,
    eta: float,
    beta: float,
    parity: Parity,
) -> Tensor:
    """Algorithm 1 once for each kind of plane; `rivals`, int64 (n, m), are the classes whose planes they are."""
    x, threat = problem.x, problem.threat
    push, flat = (0.0, FLAT[threat.norm]) if parity == "autoattack" else (PUSH, 0.0)
    step = partial(_step, norm=threat.norm, box=threat.box, alpha_max=alpha_max, eta=eta, push=push, flat=flat)
    nearest = Nearest(problem)
    final = 0 if parity == "autoattack" else FINAL_STEPS
    ticks = problem.steps(len(planes) * steps + final)
    for plane in planes:
        adv = _start(problem)
        for _ in islice(ticks, steps):
            value, slope = plane(adv)  # (n,), (n, c, h, w)
            adv = by_row(step, _together(x), adv, x, value, slope)
            crossed = nearest.see(adv, problem.logits(adv))
            adv = torch.where(geometry.per_row(crossed), (1 - beta) * x + beta * adv, adv)
        if parity == "autoattack":
            problem.retire((nearest.distances <= threat.eps).nonzero().squeeze(1))
    if final and len(problem.active):
        _final_search(problem, nearest, clean, rivals, ticks)
    return nearest.points


def _start(problem: Problem) -> Tensor:
    """The image itself; after the first restart a random point half of eps from it, moved into the pixel box."""
    if problem.noise.restart == 0:
        return problem.x
    norm, shape = problem.threat.norm, problem.x.shape[1:]
    eps = problem.threat.eps if math.isfinite(problem.threat.eps) else EPS[norm]
    way = 2 * problem.noise.uniform(shape) - 1 if norm == "linf" else problem.noise.normal(shape)
    length = problem.norms(way, norm).clamp_min(1e-300)
    return problem.clip((problem.x.double() + eps / 2 * way.double() / length).float())


def _together(tensor: Tensor) -> int:
    """How many rows to calculate with at a time."""
    return CPU_ROWS if tensor.device.type == "cpu" else geometry.ROWS


def _plane_of(problem: Problem, target: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Value and slope of z_target - z_true."""
    return problem.value_and_gradient(points, difference, target)


def _nearest_plane(problem: Problem, classes: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Value and slope of z_s - z_true for the class s whose plane is nearest."""
    nearest = partial(_nearest_class, norm=problem.threat.norm)

    def choose(rows: Tensor, logits: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        y = problem.y[rows]
        pairs = with_true(y, by_row(nearest, _together(logits), logits, slopes, y))
        places = torch.arange(len(pairs), device=pairs.device)
        return difference(logits, pairs), slopes[places, pairs[:, 1]] - slopes[places, pairs[:, 0]]

    value, slope = problem.jacobian(points, classes, choose)
    return value, slope


def _nearest_class(logits: Tensor, slopes: Tensor, y: Tensor, *, norm: str) -> Tensor:
    """The class s != y of least |z_s - z_y| / ||grad(z_s - z_y)||, in the dual norm, int64 (n,)."""
    rows = torch.arange(len(y), device=y.device)
    ahead = logits - logits[rows, y][:, None]
    slopes = (slopes - slopes[rows, y][:, None]).flatten(2)
    far = ahead.double().abs() / (hyperplane.dual_norm(slopes, norm) + 1e-12)
    return far.nan_to_num(nan=torch.inf, posinf=torch.inf).scatter(1, y[:, None], torch.inf).argmin(dim=1)


def _step(
    adv: Tensor, x: Tensor, value: Tensor, slope: Tensor, *,
    norm: str, box: tuple[float, float], alpha_max: float, eta: float, push: float,
    flat: float,
) -> Tensor:  # fmt: skip
    """Past the plane from the iterate and, with weight alpha, from the image (the update of Algorithm 1)."""
    value_at_x = _at_image(adv, x, value, slope)
    # Where z_s is below z_true by next to nothing, rounding would keep the step from ever crossing.
    least = push * value_at_x.abs()
    value = torch.where((value <= 0) & (value > -least), -least, value.double())
    slope = slope.where(slope.abs() > flat, 0.0)
    delta = hyperplane.shortest(adv, slope, value, norm, box)
    delta_x = hyperplane.shortest(x, slope, value_at_x, norm, box)
    near, far = (geometry.per_row(geometry.norms(each, norm).clamp_min(1e-8)) for each in (delta, delta_x))
    alpha = (near / (near + far)).clamp_max(alpha_max)
    return ((1 - alpha) * (adv + eta * delta) + alpha * (x + eta * delta_x)).float().clamp(*box)


def _at_image(adv: Tensor, x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """What the linear function found at `adv` is at the image, float64 (n,)."""
    return value + (slope.double() * (x.double() - adv.double())).flatten(1).sum(dim=1)


def _final_search(problem: Problem, nearest: Nearest, clean: Tensor, rivals: Tensor, ticks: Iterator[int]) -> None:
    """Look for the boundary between each image and its nearest point, then for the planes that it is like there.

    The next point is where a secant of the margin says the boundary is, and a tenth of the way back: of a linear
    margin it is misclassified however its logits are rounded, and the distance left shrinks tenfold each time.
    """
    x, y, found = problem.x, problem.y, nearest.points.clone()
    right, wrong = torch.zeros_like(nearest.distances), torch.ones_like(nearest.distances)  # shares of the way
    there = problem.logits(found)
    below, above, winner = margin(clean, y).double(), margin(there, y).double(), there.argmax(dim=1)
    for _ in ticks:
        secant = right - below * (wrong - right) / (above - below)
        root = torch.where(secant.isfinite(), secant, (right + wrong) / 2).clamp(right, wrong)
        share = root + (wrong - root) / 10
        points = problem.clip((x + geometry.per_row(share) * (found - x)).float())
        logits = problem.logits(points)
        crossed, value = nearest.see(points, logits), margin(logits, y).double()
        wrong, right = torch.where(crossed, share, wrong), torch.where(crossed, right, share)
        above, below = torch.where(crossed, value, above), torch.where(crossed, below, value)
        winner = torch.where(crossed, logits.argmax(dim=1), winner)
    _onto_last_planes(problem, nearest, rivals, winner)


def _onto_last_planes(problem: Problem, nearest: Nearest, rivals: Tensor, winner: Tensor) -> None:
    """The image moved onto planes at its nearest point, and past them by very little: exact for linear models.

    The line to the nearest point alone is not, where that point was cut by the pixel box, nor is the plane that is
    nearest without the box. So there are two: the plane of the class that has won, and the nearest of all rivals.
    """
    x, points, norm, box = problem.x, nearest.points, problem.threat.norm, problem.threat.box
    classes = torch.cat([with_true(problem.y, winner), rivals], dim=1)
    onto = partial(hyperplane.shortest, norm=norm, box=box)

    def choose(rows: Tensor, logits: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        logits, slopes = logits.gather(1, classes[rows]), slopes[:, 1:] - slopes[:, :1]
        ahead = logits[:, 1:] - logits[:, :1]
        values = by_row(_at_images, _together(x), points[rows], x[rows], ahead, slopes)  # (n, 1 + m)
        far = hyperplane.lengths(x[rows], slopes, values, norm, box).where(values < 0, torch.inf)
        places = torch.arange(len(rows), device=rows.device)
        first, second = (
            by_row(onto, _together(x), x[rows], slopes[places, place], values[places, place])
            for place in (torch.zeros_like(places), far.argmin(dim=1))
        )
        return first, second

    for delta in problem.jacobian(points, classes, choose):
        moved = problem.clip((x + (1 + 3e-5) * delta).float())
        nearest.see(moved, problem.logits(moved))


def _at_images(points: Tensor, x: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
    """What each of some linear functions found at the points, (n, m), is at the images, float64 (n, m)."""
    each = zip(values.unbind(dim=1), slopes.unbind(dim=1))
    return torch.stack([_at_image(points, x, value, slope) for value, slope in each], dim=1)
