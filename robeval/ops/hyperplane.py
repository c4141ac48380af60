"""The shortest way from a point to a hyperplane without leaving the pixel box, for l-inf, l2 and l1.

Given a linear function of the change d of a point, value + <slope, d>, what is wanted is the d of least norm at
which it is 0 while point + d stays in the box. Where no such d exists the answer is the corner of the box at
which the function is closest to 0.

All norms have one shape (Croce & Hein, 2020, arXiv:1907.02044): every pixel moves against the function's sign, by
as much as one number per row says, until it meets the box. That number solves an equation that is piecewise
linear, and is found exactly, up to rounding in float64.

Points, slopes and changes are images or any other rows; sums run over a row, so whoever needs bit-equal rows
calls these with a fixed number of them at a time (`microbatch.by_row`).
"""

import torch
from torch import Tensor

from robeval.ops import geometry
from robeval.ops.microbatch import by_row

_PAIRS = 16  # of points and planes, to calculate with at a time
_DUAL = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}


def dual_norm(slopes: Tensor, norm: str) -> Tensor:
    """The dual norm over the last dimension, float64: value / dual_norm is the distance to the plane without a box."""
    return torch.linalg.vector_norm(slopes, ord=_DUAL[norm], dim=-1, dtype=torch.float64)


def shortest(points: Tensor, slopes: Tensor, values: Tensor, norm: str, box: tuple[float, float]) -> Tensor:
    """The least change, in the norm, that takes each point to its plane inside the box, float64 (n, ...).

    Args:
        points: inside the box, (n, ...).
        slopes: normal of each plane, same shape.
        values: of the linear function at the points, (n,); for NaN nothing moves.
    """
    value = values.double().nan_to_num(nan=0.0)[:, None]
    ways = slopes.flatten(1) * -value.sign().to(slopes.dtype)  # the function falls towards 0 along these
    signs, gains, start = ways.sign(), ways.abs().double(), points.flatten(1).double()
    corner = torch.where(signs > 0, box[1], torch.where(signs < 0, box[0], start))
    rooms = (corner - start).abs()
    lengths = _greedy(gains, rooms, value.abs()) if norm == "l1" else _together(gains, rooms, value.abs(), norm)
    return (signs * lengths).view_as(points)


def lengths(points: Tensor, slopes: Tensor, values: Tensor, norm: str, box: tuple[float, float]) -> Tensor:
    """How far each point is from each of its planes inside the box, float64 (n, m).

    Infinite where no point of the plane is in the box, or the plane is none, its slope being 0 or its value NaN.

    Args:
        points: inside the box, (n, c, h, w).
        slopes: of m planes of each, (n, m, c, h, w); values: of their functions at the points, (n, m).
    """
    many = values.shape[1]
    if not len(points):
        return values.double()

    def some(pairs: Tensor, slope: Tensor, value: Tensor) -> Tensor:
        change, value = shortest(points[pairs // many], slope, value, norm, box), value.double()
        there = (change * slope).flatten(1).sum(dim=1).abs() >= (1 - 1e-6) * value.abs()
        there &= slope.flatten(1).any(dim=1) & value.isfinite()
        return geometry.norms(change, norm).where(there, torch.inf)

    every = torch.arange(values.numel(), device=values.device)
    return by_row(some, _PAIRS, every, slopes.flatten(0, 1), values.flatten()).view_as(values)


def _together(gains: Tensor, rooms: Tensor, wanted: Tensor, norm: str) -> Tensor:
    """How far each pixel moves where all move at once, l-inf: equally fast, l2: as fast as they gain.

    The sum over pixels of gain * min(level * speed, room) is concave and piecewise linear in the level, so Newton's
    method from 0 climbs to the level at which it is `wanted` and never beyond. Each step but the last takes a
    pixel to the border of the box, so it ends; in practice after a few, much sooner than rooms could be sorted.
    """
    if norm == "linf":
        limits, rates = rooms, gains
    else:
        limits, rates = rooms / gains, gains * gains  # the limit is infinite or NaN where a pixel does not move
    most, level = gains * rooms, torch.zeros_like(wanted)
    for _ in range(gains.shape[1] + 1):
        free = limits > level
        rest = wanted - (most * ~free).sum(dim=1, keepdim=True)
        rate = (rates * free).sum(dim=1, keepdim=True)
        higher = (rest / rate).nan_to_num(nan=0.0, posinf=torch.inf).maximum(level)
        if torch.equal(higher, level):
            break
        level = higher
    return level.minimum(rooms) if norm == "linf" else (level * gains).fmin(rooms)


def _greedy(gains: Tensor, rooms: Tensor, wanted: Tensor) -> Tensor:
    """How far each pixel moves for l1: one after another to the border of the box, the one of largest gain first."""
    ranked, order = gains.sort(dim=1, descending=True, stable=True)
    room = rooms.gather(1, order)
    reached = (ranked * room).cumsum(dim=1)
    before = torch.cat([torch.zeros_like(wanted), reached[:, :-1]], dim=1)
    lengths = ((wanted - before).clamp_min(0) / ranked).nan_to_num(nan=0.0, posinf=torch.inf).minimum(room)
    return torch.zeros_like(lengths).scatter(1, order, lengths)
