"""Balls around images: distance, projection, steepest direction and random points, for l-inf, l2 and l1.

Points, images and slopes are float32 (n, c, h, w). What `project` returns is inside the ball and the pixel
box *exactly*, as `inside` checks it, not merely up to rounding: float32 numbers near the sphere are rounded
towards the image.

Norms are sums over a row, whose order (and so last bit) may depend on how many rows there are;
whoever needs bit-equal rows calls these functions with `ROWS` of them at a time (`microbatch.by_row`).
"""

import math

import torch
from torch import Tensor

from robeval.ops.noise import Noise
from robeval.values.threat import ThreatModel

ROWS = 64
_STEPS, _NOTHING = 200, 1e-13  # of a search: at most, and what share of what is sought is left


def norms(delta: Tensor, norm: str) -> Tensor:
    """Each row's norm ("linf", "l2" or "l1"), computed and returned in float64, (n,)."""
    flat = delta.flatten(1).double()
    order = {"linf": math.inf, "l2": 2.0, "l1": 1.0}[norm]
    return torch.linalg.vector_norm(flat, ord=order, dim=1)


def distance(points: Tensor, x: Tensor, norm: str) -> Tensor:
    """||points - x|| per row, float64 (n,); the difference itself is exact."""
    return norms(points.double() - x.double(), norm)


def boxed(points: Tensor, threat: ThreatModel) -> Tensor:
    """Which rows are inside the pixel box, bool (n,). NaN is outside."""
    low, high = threat.box
    return ((points >= low) & (points <= high)).flatten(1).all(dim=1)


def near(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """Which rows are within eps of x without any tolerance, bool (n,). NaN is not.

    The difference of the float32 images is taken in float64, where it is exact, and also has to hold when it is
    rounded to float32, as the checkers of public challenges compute it.
    """
    within = distance(points, x, threat.norm) <= threat.eps
    if threat.norm == "linf":
        within &= ((points - x).abs().double() <= threat.eps).flatten(1).all(dim=1)
    return within


def inside(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """Which rows are in the ball and in the pixel box, bool (n,)."""
    return boxed(points, threat) & near(points, x, threat)


def limits(x: Tensor, threat: ThreatModel) -> tuple[Tensor, Tensor]:
    """The lowest and highest value that each pixel may take: the pixel box, for l-inf cut with the ball."""
    low, high = threat.box
    if threat.norm != "linf":
        return torch.full_like(x, low), torch.full_like(x, high)
    # In float64, so that only the rounding of the result is left, at most half a step; and with the largest
    # float32 within the radius, so that the difference is within it when it is rounded to float32 as well.
    eps = _float32_below(threat.eps)
    lowest = _towards(x, (x.double() - eps).to(x.dtype), eps)
    highest = _towards(x, (x.double() + eps).to(x.dtype), eps)
    return lowest.clamp(low, high), highest.clamp(low, high)


def project(points: Tensor, x: Tensor, threat: ThreatModel, bounds: tuple[Tensor, Tensor]) -> Tensor:
    """The points moved into the ball and the pixel box; points inside both do not move.

    `bounds` is `limits(x, threat)`, given because it stays the same over all steps of an attack. For l-inf and l1
    the result is the nearest point inside both; for l2 it is the nearest in the ball, then clipped, as attacks do.
    """
    if threat.norm == "l2":
        points = _into_l2_ball(points, x, threat)
    if threat.norm == "l1":
        points = _into_l1_ball(points, x, threat)
    return points.clamp(*bounds)


def _towards(x: Tensor, bound: Tensor, eps: float) -> Tensor:
    """The float32 `bound`, one step closer to x where rounding has put it outside the ball."""
    outside = (bound.double() - x.double()).abs() > eps
    return torch.where(outside, torch.nextafter(bound, x), bound)


def _into_l2_ball(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """Rows outside are scaled to a radius that is smaller than eps by what rounding to float32 can add."""
    delta = points.double() - x.double()
    length = per_row(norms(delta, "l2"))
    radius = max(threat.eps - _rounding(threat) * math.sqrt(math.prod(x.shape[1:])), 0.0)
    scaled = x.double() + delta * (radius / length.clamp_min(1e-300))
    return torch.where(length <= threat.eps, points, scaled.to(points.dtype))


def _into_l1_ball(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """The nearest points, in l2, that are in the l1 ball and the pixel box (Croce & Hein, 2021, Proposition 2.1).

    The change of each pixel is shrunk by one number per row and cut at the box.
    """
    low, high = threat.box
    start = x.double().flatten(1)
    wanted = points.double().flatten(1) - start
    size = wanted.abs()
    room = torch.where(wanted > 0, high - start, start - low).clamp_min(0)
    radius = max(threat.eps - _rounding(threat) * start.shape[1], 0.0)
    shrunk = (size - _shrink(size, room, radius)).clamp_min(0).minimum(room) * (radius > 0)
    moved = (start + wanted.sign() * shrunk).to(points.dtype).view_as(points)
    return torch.where(per_row(norms(points.double() - x.double(), "l1")) <= threat.eps, points, moved)


def _shrink(size: Tensor, room: Tensor, radius: float) -> Tensor:
    """The least number of 0 or more by which sizes, (n, d), are to shrink so that their sum is `radius`, (n, 1).

    The sum of clamp(size - number, 0, room) falls with the number and is piecewise linear in it. Newton's method ends
    on the right piece after a few steps; a step that leaves the interval in which the number is known to be is
    replaced by half of that. A row that has arrived does not move on, so its answer does not depend on other rows.
    """
    number = torch.zeros_like(size[:, :1])
    least, most = number, size.amax(dim=1, keepdim=True)
    for _ in range(_STEPS):
        left = size - number
        rest = left.clamp_min(0).minimum(room).sum(dim=1, keepdim=True) - radius
        going = (rest > _NOTHING * radius) | (rest < -_NOTHING * radius) & (number > 0)
        if not going.any():
            break
        least, most = torch.where(rest > 0, number, least), torch.where(rest > 0, most, number)
        step = number + rest / ((left > 0) & (left < room)).sum(dim=1, keepdim=True)
        step = torch.where((step > least) & (step < most), step, (least + most) / 2)
        number = torch.where(going, step, number)
    return number


def _rounding(threat: ThreatModel) -> float:
    """The most that rounding a pixel to float32 can add: a number of size 1 or less is at most 2^-25 away from one."""
    return 2.0**-24 * max(map(abs, threat.box))


def steepest(slope: Tensor, norm: str) -> Tensor:
    """The step of norm 1 that climbs `slope` fastest; 0 where it is 0.

    Its sign (l-inf), its unit vector (l2), or the sign of its largest entry alone (l1).
    """
    if norm == "linf":
        return slope.sign()
    if norm == "l1":
        flat = slope.flatten(1)
        place = flat.abs().argmax(dim=1, keepdim=True)
        return torch.zeros_like(flat).scatter(1, place, flat.gather(1, place).sign()).view_as(slope)
    length = per_row(norms(slope, "l2"))
    return (slope.double() / length.clamp_min(1e-300)).to(slope.dtype)


def random_point(x: Tensor, threat: ThreatModel, noise: Noise, *, sphere: bool = False) -> Tensor:
    """A point drawn uniformly from the ball around each image, or such a direction as far as its sphere (for l2 a point
    drawn uniformly from that); the pixel box is not applied.
    """
    if threat.norm == "linf" and not sphere:
        return x + threat.eps * (2 * noise.uniform(x.shape[1:]) - 1)
    if threat.norm == "linf":
        direction = 2 * noise.uniform(x.shape[1:]).double() - 1
    else:
        direction = noise.normal(x.shape[1:]).double() if threat.norm == "l2" else _laplace(x, noise)
    share = 1.0 if sphere else noise.uniform([1, 1, 1]).double() ** (1 / math.prod(x.shape[1:]))
    length = per_row(norms(direction, threat.norm)).clamp_min(1e-300)
    return (x.double() + threat.eps * share * direction / length).to(x.dtype)


def _laplace(x: Tensor, noise: Noise) -> Tensor:
    """Independent Laplace numbers, whose direction is uniform on the l1 sphere."""
    number = 2 * noise.uniform(x.shape[1:]).double() - 1
    return -number.sign() * torch.log1p(-number.abs())


def _float32_below(number: float) -> float:
    """The largest float32 that is not above a number of 0 or more."""
    rounded = torch.tensor(number, dtype=torch.float32)
    return rounded.item() if rounded.item() <= number else rounded.nextafter(torch.tensor(0.0)).item()


def per_row(values: Tensor) -> Tensor:
    """(n,) as (n, 1, 1, 1), to calculate with images."""
    return values[:, None, None, None]
