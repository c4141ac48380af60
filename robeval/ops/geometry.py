"""Balls around images: distance, projection, steepest direction and random points, for l-inf and l2.

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


def norms(delta: Tensor, norm: str) -> Tensor:
    """Each row's norm ("linf", "l2" or "l1"), computed and returned in float64, (n,)."""
    flat = delta.flatten(1).double()
    order = {"linf": math.inf, "l2": 2.0, "l1": 1.0}[norm]
    return torch.linalg.vector_norm(flat, ord=order, dim=1)


def distance(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """||points - x|| per row in the threat model's norm, float64 (n,); the difference itself is exact."""
    return norms(points.double() - x.double(), threat.norm)


def inside(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """Which rows are within eps of x and inside the pixel box, without any tolerance, bool (n,).

    The difference of the float32 images is taken in float64, where it is exact, and also has to hold when it is
    rounded to float32, as the checkers of public challenges compute it. NaN is outside.
    """
    low, high = threat.box
    boxed = ((points >= low) & (points <= high)).flatten(1).all(dim=1)
    near = distance(points, x, threat) <= threat.eps
    if threat.norm == "linf":
        near &= ((points - x).abs().double() <= threat.eps).flatten(1).all(dim=1)
    return boxed & near


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
    """The points moved into the ball and then the pixel box; points inside both do not move.

    `bounds` is `limits(x, threat)`, given because it stays the same over all steps of an attack. For l-inf the
    result is the nearest point inside both.
    """
    if threat.norm == "l2":
        points = _into_l2_ball(points, x, threat)
    return points.clamp(*bounds)


def _towards(x: Tensor, bound: Tensor, eps: float) -> Tensor:
    """The float32 `bound`, one step closer to x where rounding has put it outside the ball."""
    outside = (bound.double() - x.double()).abs() > eps
    return torch.where(outside, torch.nextafter(bound, x), bound)


def _into_l2_ball(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """Rows outside are scaled to a radius that is smaller than eps by what rounding to float32 can add."""
    delta = points.double() - x.double()
    length = _per_row(norms(delta, "l2"))
    # A number of size 1 or less is at most 2^-25 away from a float32, in each of the row's dimensions.
    rounding = 2.0**-24 * max(map(abs, threat.box)) * math.sqrt(math.prod(x.shape[1:]))
    radius = max(threat.eps - rounding, 0.0)
    scaled = x.double() + delta * (radius / length.clamp_min(1e-300))
    return torch.where(length <= threat.eps, points, scaled.to(points.dtype))


def steepest(slope: Tensor, threat: ThreatModel) -> Tensor:
    """The step of norm 1 that climbs `slope` fastest: its sign, or its unit vector; 0 where it is 0."""
    if threat.norm == "linf":
        return slope.sign()
    length = _per_row(norms(slope, "l2"))
    return (slope.double() / length.clamp_min(1e-300)).to(slope.dtype)


def random_point(x: Tensor, threat: ThreatModel, noise: Noise) -> Tensor:
    """A point drawn uniformly from the ball around each image; the pixel box is not applied."""
    if threat.norm == "linf":
        return x + threat.eps * (2 * noise.uniform(x.shape[1:]) - 1)
    direction = noise.normal(x.shape[1:])
    share = noise.uniform([1, 1, 1]).double() ** (1 / math.prod(x.shape[1:]))
    length = _per_row(norms(direction, "l2")).clamp_min(1e-300)
    return (x.double() + threat.eps * share * direction.double() / length).to(x.dtype)


def _float32_below(number: float) -> float:
    """The largest float32 that is not above a number of 0 or more."""
    rounded = torch.tensor(number, dtype=torch.float32)
    return rounded.item() if rounded.item() <= number else rounded.nextafter(torch.tensor(0.0)).item()


def _per_row(values: Tensor) -> Tensor:
    return values[:, None, None, None]
