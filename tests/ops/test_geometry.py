"""Balls and boxes: exact membership, nearest points, unit steps and uniform draws."""

import math

import numpy as np
import pytest
import torch
from doubles import images, seeded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from robeval.ops import geometry
from robeval.ops.noise import Noise
from robeval.values.threat import ThreatModel

SHAPE = (3, 2, 3, 3)
RADII = (0.0, 1e-3, 0.031, 1 / 255, 8 / 255, 0.1, 0.3, 0.5, 1.0, float(np.float32(0.3)), 1e-8)
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

norms = st.sampled_from(("linf", "l2", "l1"))
radii = st.sampled_from(RADII) | st.floats(0, 2)
pixels = st.sampled_from((0.0, 1.0, 0.5, 1e-7, 1 / 255, float(np.nextafter(np.float32(1), np.float32(0)))))
clean = arrays(np.float32, SHAPE, elements=pixels | st.floats(0, 1, width=32))
anywhere = arrays(np.float32, SHAPE, elements=pixels | st.floats(-3, 4, width=32))


def into(points, x, threat):
    return geometry.project(points, x, threat, geometry.limits(x, threat))


def challenge_accepts(adv, x, eps):
    """The checks of the TRADES challenge, in numpy float32 and without a tolerance, and again in float64."""
    for kind in (np.float32, np.float64):
        change = adv.numpy().astype(kind) - x.numpy().astype(kind)
        if change.max() > eps or change.min() < -eps or adv.min() < 0 or adv.max() > 1:
            return False
        if change.max() > kind(eps):
            return False
    return True


# ── projection ──


@FEW
@given(clean, anywhere, norms, radii)
def test_a_projected_point_is_inside(x, points, norm, eps):
    x, points, threat = torch.from_numpy(x), torch.from_numpy(points), ThreatModel(norm, eps)
    assert geometry.inside(into(points, x, threat), x, threat).all()


@FEW
@given(clean, anywhere, radii)
def test_a_projected_point_passes_the_strict_check_of_the_challenge(x, points, eps):
    x, points = torch.from_numpy(x), torch.from_numpy(points)
    assert challenge_accepts(into(points, x, ThreatModel("linf", eps)), x, eps)


@pytest.mark.parametrize("eps", RADII)
def test_corners_of_every_grey_level_pass_the_challenge(eps):
    levels = torch.arange(256).float().view(256, 1, 1, 1) / 255
    threat = ThreatModel("linf", eps)
    for way in (-1, 1):
        adv = into(levels + way * 2, levels, threat)
        assert challenge_accepts(adv, levels, eps)
        wanted = (levels.double() + way * eps).clamp(0, 1)
        assert ((adv.double() - wanted).abs() <= 2**-24 + 1e-7 * eps).all(), "it is as far out as float32 allows"


@FEW
@given(clean, anywhere, norms, radii)
def test_projecting_twice_is_projecting_once(x, points, norm, eps):
    x, points, threat = torch.from_numpy(x), torch.from_numpy(points), ThreatModel(norm, eps)
    once = into(points, x, threat)
    assert torch.equal(into(once, x, threat), once)


@FEW
@given(clean, anywhere, norms, radii)
def test_a_point_inside_does_not_move(x, points, norm, eps):
    x, points, threat = torch.from_numpy(x), torch.from_numpy(points), ThreatModel(norm, eps)
    near = (x + eps * 0.2 * (points.clamp(-1, 1))).clamp(0, 1)  # most of them are inside
    kept = geometry.inside(near, x, threat)
    assert torch.equal(into(near, x, threat)[kept], near[kept])
    assert torch.equal(into(x, x, threat), x)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("eps", [1e-3, 0.031, 0.3])
def test_points_well_inside_do_not_move(norm, eps):
    x = images(50, seed=1)
    step = geometry.random_point(torch.zeros_like(x), ThreatModel(norm, eps), Noise(0, "t", 0, range(50)))
    near = (x + 0.5 * step).clamp(0, 1)
    assert geometry.inside(near, x, ThreatModel(norm, eps)).all()
    assert torch.equal(into(near, x, ThreatModel(norm, eps)), near)


@FEW
@given(clean, anywhere, radii)
def test_linf_gives_the_nearest_point(x, points, eps):
    adv = into(torch.from_numpy(points), torch.from_numpy(x), ThreatModel("linf", eps)).numpy()
    centre = x.astype(np.float64)
    nearest = np.clip(np.clip(points, centre - eps, centre + eps), 0, 1)
    assert np.abs(adv - nearest).max() <= 2**-23, "apart from rounding towards the image"


@FEW
@given(clean, anywhere, radii)
def test_l2_agrees_with_float64(x, points, eps):
    threat = ThreatModel("l2", eps)
    adv = into(torch.from_numpy(points), torch.from_numpy(x), threat).numpy()
    delta = points.astype(np.float64) - x
    length = np.sqrt((delta**2).sum(axis=(1, 2, 3), keepdims=True))
    shrunk = np.where(length > eps, delta * eps / np.maximum(length, 1e-300), delta)
    assert np.abs(adv - np.clip(x + shrunk, 0, 1)).max() <= 1e-5


def test_l2_loses_little_of_a_small_ball_in_many_dimensions():
    x = images(4, (3, 64, 64), 0.2, 0.8)
    threat = ThreatModel("l2", 0.01)
    adv = into(x + torch.randn(x.shape, generator=seeded(1)), x, threat)
    length = geometry.distance(adv, x, threat.norm)
    assert (length <= 0.01).all()
    assert (length >= 0.01 - 2e-5).all()


def test_points_that_are_not_finite_end_inside_or_stay_not_a_number():
    x = images(3)
    points = x.clone()
    points[0, 0, 0, 0], points[1, 0, 0, 0] = torch.inf, torch.nan
    adv = into(points, x, ThreatModel("linf", 0.1))
    assert geometry.inside(adv, x, ThreatModel("linf", 0.1)).tolist() == [True, False, True]
    for norm in ("linf", "l2", "l1"):
        adv = into(points, x, ThreatModel(norm, 0.1))
        assert torch.equal(adv[2], x[2]), "a neighbour is none of its business"
        assert not geometry.inside(adv, x, ThreatModel(norm, 0.1))[1]


# ── inside and distance ──


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_inside_has_no_tolerance(norm):
    x = torch.full((1, 1, 2, 2), 0.5)
    point = x.clone()
    point[0, 0, 0, 0] = 0.75
    assert geometry.inside(point, x, ThreatModel(norm, 0.25)).item()
    assert not geometry.inside(point, x, ThreatModel(norm, math.nextafter(0.25, 0))).item()
    assert not geometry.inside(point.nextafter(torch.tensor(1.0)), x, ThreatModel(norm, 0.25)).item()


def test_inside_holds_the_rounded_difference_against_eps_as_well():
    x = torch.tensor([0.1]).view(1, 1, 1, 1)
    adv = torch.tensor([0.4]).view(1, 1, 1, 1)
    eps = float(adv.double() - x.double())  # the exact difference, smaller than the same rounded to float32
    rounded = float(adv - x)
    assert rounded > eps
    assert not geometry.inside(adv, x, ThreatModel("linf", eps)).item()
    assert geometry.inside(adv, x, ThreatModel("linf", rounded)).item()


def test_the_box_and_nan_are_outside():
    x = torch.tensor([0.0, 1.0, 0.5, 0.5, 0.5]).view(5, 1, 1, 1)
    points = torch.tensor([-1e-9, 1.0000001, torch.nan, torch.inf, 0.5]).view(5, 1, 1, 1)
    for norm in ("linf", "l2"):
        assert geometry.inside(points, x, ThreatModel(norm, 0.3)).tolist() == [False, False, False, False, True]


@FEW
@given(clean, anywhere)
def test_distance_is_that_of_numpy_in_float64(x, points):
    delta = (points.astype(np.float64) - x).reshape(len(x), -1)
    pair = torch.from_numpy(points), torch.from_numpy(x)
    assert np.array_equal(geometry.distance(*pair, "linf").numpy(), np.abs(delta).max(axis=1))
    assert np.allclose(geometry.distance(*pair, "l2"), np.sqrt((delta**2).sum(axis=1)), rtol=1e-14)
    both = torch.from_numpy(points)
    assert np.allclose(geometry.norms(both, "l1"), np.abs(points.astype(np.float64)).sum(axis=(1, 2, 3)), rtol=1e-14)


# ── steepest ──


@FEW
@given(
    arrays(
        np.float32, SHAPE, elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from((0.0, 1e-45, 1e-38))
    )
)
def test_the_steepest_step_has_norm_one_or_zero_and_climbs(slope):
    slope[0] = 0
    slope = torch.from_numpy(slope)
    for norm in ("linf", "l2", "l1"):
        step = geometry.steepest(slope, norm)
        length = geometry.norms(step, norm)
        flat = (slope == 0).flatten(1).all(dim=1)
        assert (length[flat] == 0).all()
        assert torch.allclose(length[~flat], torch.ones_like(length[~flat]), atol=1e-6)
        assert (step.double() * slope.double() >= 0).all()


def test_steepest_in_closed_form():
    slope = torch.tensor([[3.0, -4.0], [0.0, 2.0], [0.0, 0.0]]).view(3, 1, 1, 2)
    assert geometry.steepest(slope, "linf").flatten(1).tolist() == [[1, -1], [0, 1], [0, 0]]
    unit = geometry.steepest(slope, "l2").flatten(1)
    assert torch.allclose(unit, torch.tensor([[0.6, -0.8], [0, 1], [0, 0]]))


# ── random points ──


@FEW
@given(clean, norms, radii, st.integers(0, 2**31))
def test_a_random_point_stays_in_the_ball(x, norm, eps, seed):
    x = torch.from_numpy(x)
    points = geometry.random_point(x, ThreatModel(norm, eps), Noise(seed, "t", 0, range(len(x))))
    # The pixel box is not applied, and the sum is rounded to float32 once.
    rounding = 2.0**-23 * (1 + eps) * x[0].numel()
    assert (geometry.distance(points, x, norm) <= eps + rounding).all()


def test_linf_points_are_uniform_in_each_pixel():
    x = torch.full((4000, 1, 1, 2), 0.5)
    points = geometry.random_point(x, ThreatModel("linf", 0.2), Noise(0, "t", 0, range(4000)))
    for pixel in points.flatten(1).T.double().numpy():
        assert stats.kstest(pixel, stats.uniform(0.3, 0.4).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(points.flatten(1).T)[0, 1]) < 0.06


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (3, 2, 2)])
def test_l2_points_are_uniform_in_the_ball(shape):
    x = torch.full((4000, *shape), 0.5)
    points = geometry.random_point(x, ThreatModel("l2", 0.2), Noise(0, "t", 0, range(4000)))
    size = x[0].numel()
    share = (geometry.distance(points, x, "l2") / 0.2).numpy()
    assert stats.kstest(share, lambda r: r**size).pvalue > 1e-3, "a ball of radius r holds r^d of the points"
    direction = (points - x).flatten(1).double().numpy() / (0.2 * share[:, None])
    assert np.abs(direction.mean(axis=0)).max() < 0.08
    assert np.abs(direction.T @ direction / 4000 - np.eye(size) / size).max() < 0.08


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_points_of_the_sphere_are_as_far_as_it_and_lie_in_every_direction_alike(norm):
    x = torch.full((4000, 1, 1, 3), 0.5)
    points = geometry.random_point(x, ThreatModel(norm, 0.2), Noise(0, "t", 0, range(4000)), sphere=True)
    assert np.allclose(geometry.distance(points, x, norm), 0.2, rtol=1e-6)
    if norm == "l2":  # Archimedes: each coordinate of a point of a sphere in three dimensions is uniform
        for pixel in points.flatten(1).T.double().numpy():
            assert stats.kstest(pixel, stats.uniform(0.3, 0.4).cdf).pvalue > 1e-3


# ── l1 ──


def nearest_in_l1(point, x, eps):
    """The nearest point in ball and box by bisection on the multiplier of the ball, in float64 numpy."""
    room = np.where(point > x, 1 - x, x)
    size, way = np.abs(point - x), np.sign(point - x)

    def change(shrink):
        return np.clip(size - shrink, 0, room)

    low, high = 0.0, size.max()
    if change(0).sum() <= eps:
        return x + way * change(0)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if change(middle).sum() > eps else (low, middle)
    return x + way * change(high)


@FEW
@given(clean, anywhere, radii)
def test_l1_gives_the_nearest_point(x, points, eps):
    adv = into(torch.from_numpy(points), torch.from_numpy(x), ThreatModel("l1", eps)).numpy()
    for row, point, centre in zip(adv, points.astype(np.float64), x.astype(np.float64)):
        wanted = nearest_in_l1(point, centre, eps)
        assert np.abs(row - wanted).max() <= 1e-5 * (1 + eps)
        assert np.linalg.norm(row - point) <= np.linalg.norm(wanted - point) + 1e-4


def test_l1_loses_little_of_a_ball_in_many_dimensions():
    x = images(4, (3, 32, 32), 0.2, 0.8)
    adv = into(x + torch.randn(x.shape, generator=seeded(1)), x, ThreatModel("l1", 12.0))
    length = geometry.distance(adv, x, "l1")
    assert (length <= 12).all()
    assert (length >= 12 - 5e-4).all()


def test_the_steepest_l1_step_moves_the_pixel_of_the_largest_slope():
    slope = torch.tensor([[3.0, -4.0], [0.0, 2.0], [0.0, 0.0]]).view(3, 1, 1, 2)
    assert geometry.steepest(slope, "l1").flatten(1).tolist() == [[0, -1], [0, 1], [0, 0]]


@pytest.mark.parametrize("size", [1, 2, 12])
def test_l1_points_are_uniform_in_the_ball(size):
    x = torch.full((4000, 1, 1, size), 0.5)
    points = geometry.random_point(x, ThreatModel("l1", 0.2), Noise(0, "t", 0, range(4000)))
    share = (geometry.distance(points, x, "l1") / 0.2).numpy()
    assert stats.kstest(share, lambda r: r**size).pvalue > 1e-3, "a ball of radius r holds r^d of the points"
    part = ((points - x).flatten(1).double().abs().numpy() / (0.2 * share[:, None]))[:, 0]
    if size > 1:  # one coordinate's share of the norm, for a uniform direction
        assert stats.kstest(part, stats.beta(1, size - 1).cdf).pvalue > 1e-3
    assert abs(float(((points - x) > 0).double().mean()) - 0.5) < 0.03
