"""The shortest way to a hyperplane inside a box, against linear programs and least-distance problems."""

import math

import pytest
import torch
from doubles import images, seeded
from exact import least_move

from robeval.ops import geometry, hyperplane
from robeval.ops.microbatch import by_row

BOX = (0.0, 1.0)
every_norm = pytest.mark.parametrize("norm", ["linf", "l2", "l1"])


def planes(n, shape=(2, 3, 3), seed=0, spread=1.0):
    """Points of which some pixels are on the border, slopes with zeros and equal entries, and values of both signs."""
    draw = seeded(seed)
    points = images(n, shape, -0.3, 1.3, seed).clamp(0, 1)
    slopes = spread * torch.randn(n, *shape, generator=draw)
    slopes[::3] = (slopes[::3] * 2).round() / 2
    values = spread * 3 * torch.randn(n, generator=draw)
    return points, slopes, values


def left(points, slopes, values, change):
    """The linear function after the change."""
    return values.double() + (slopes.double() * change).flatten(1).sum(dim=1)


def furthest(points, slopes, values, box=BOX):
    """The corner of the box where the function is lowest if it is positive, and highest if negative."""
    down = (slopes > 0) == (values > 0)[:, None, None, None]
    corner = torch.where(down, box[0], box[1])
    return torch.where(slopes == 0, points, corner).double() - points.double()


@every_norm
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_optimum_of_an_independent_solver(norm, seed):
    points, slopes, values = planes(40, seed=seed)
    change = hyperplane.shortest(points, slopes, values, norm, BOX)
    found = geometry.norms(change, norm)
    reached = left(points, slopes, values, change)
    possible = 0
    for row in range(len(points)):
        way = -values[row].sign().double() * slopes[row].double().flatten()
        best = least_move(
            way[None].numpy(),
            values[row : row + 1].abs().double().numpy(),
            points[row].double().flatten().numpy(),
            norm,
            BOX,
        )
        if math.isinf(best):
            continue
        possible += 1
        assert found[row].item() == pytest.approx(best, rel=1e-6, abs=1e-9)
        assert abs(reached[row].item()) < 1e-12
    assert 10 < possible < 40


@every_norm
@pytest.mark.parametrize("box", [(0.0, 1.0), (-1.0, 1.0), (0.25, 0.75)])
def test_no_box_is_left(norm, box):
    points, slopes, values = planes(200, seed=7)
    points = points.clamp(*box)
    moved = points.double() + hyperplane.shortest(points, slopes, values, norm, box)
    assert (moved >= box[0]).all()
    assert (moved <= box[1]).all()


@every_norm
def test_out_of_reach_it_is_the_corner_that_is_closest(norm):
    points, slopes, _ = planes(30)
    values = torch.where(torch.arange(30) % 2 == 0, 1e3, -1e3)
    change = hyperplane.shortest(points, slopes, values, norm, BOX)
    assert torch.allclose(change, furthest(points, slopes, values), rtol=0, atol=1e-15)
    huge = hyperplane.shortest(points, slopes, values * torch.inf, norm, BOX)
    assert torch.equal(huge, change)


@every_norm
def test_far_from_the_border_it_is_the_value_over_the_dual_norm(norm):
    points, slopes, values = images(50, low=0.4, high=0.6), torch.randn(50, 1, 6, 6), 0.1 * torch.randn(50)
    change = hyperplane.shortest(points, slopes, values, norm, BOX)
    far = values.double().abs() / hyperplane.dual_norm(slopes.flatten(1), norm)
    assert torch.allclose(geometry.norms(change, norm), far, rtol=1e-12)
    step = {
        "linf": -slopes.sign() * values.sign()[:, None, None, None],
        "l2": -slopes * values.sign()[:, None, None, None],
        "l1": geometry.steepest(-slopes * values.sign()[:, None, None, None], "l1"),
    }[norm]
    length = geometry.per_row(geometry.norms(change, "l2") / geometry.norms(step, "l2"))
    assert torch.allclose(change, step * length, atol=1e-12)


@every_norm
def test_a_slope_or_value_of_zero_moves_nothing(norm):
    points, slopes, values = planes(10)
    nothing = torch.zeros_like(points).double()
    assert torch.equal(hyperplane.shortest(points, slopes, torch.zeros(10), norm, BOX), nothing)
    assert torch.equal(hyperplane.shortest(points, torch.zeros_like(slopes), values, norm, BOX), nothing)
    assert torch.equal(hyperplane.shortest(points, slopes, torch.full((10,), torch.nan), norm, BOX), nothing)
    change = hyperplane.shortest(points, slopes, values, norm, BOX)
    assert (change[slopes == 0] == 0).all()


@every_norm
def test_one_pixel(norm):
    points = torch.tensor([0.2, 0.2, 0.2, 1.0]).view(4, 1, 1, 1)
    slopes = torch.tensor([2.0, -2.0, 2.0, 1.0]).view(4, 1, 1, 1)
    values = torch.tensor([0.2, 0.2, 2.0, -1.0])
    change = hyperplane.shortest(points, slopes, values, norm, BOX)
    assert change.flatten().tolist() == pytest.approx([-0.1, 0.1, -0.2, 0.0])


@every_norm
def test_slopes_of_very_different_size(norm):
    """Each Newton step may take as little as one pixel to the border; and neither squares nor quotients overflow."""
    n, d = 20, 60
    points = torch.linspace(0, 1, d).pow(3).expand(n, d).reshape(n, 1, 6, 10).contiguous()
    slopes = torch.full((d,), 0.25).pow(torch.arange(d)).flip(0).view(1, 1, 6, 10).expand(n, 1, 6, 10).contiguous()
    most = (slopes.double() * points.double()).flatten(1).sum(dim=1)
    values = most * torch.linspace(0, 1, n + 1)[1:].double() * (1 - 1e-9)
    change = hyperplane.shortest(points, slopes, values, norm, BOX)
    assert left(points, slopes, values, change).abs().max() < 1e-12
    assert ((points + change) >= 0).all()
    tiny = hyperplane.shortest(points, slopes.double() * 1e-60, values * 1e-60, norm, BOX)
    assert torch.allclose(tiny, change, rtol=1e-9, atol=1e-7)


@every_norm
def test_rows_are_the_same_bits_in_any_company(norm):
    points, slopes, values = planes(130, (3, 8, 8))

    def moved(rows):
        given = points[rows], slopes[rows], values[rows]
        return by_row(lambda *each: hyperplane.shortest(*each, norm, BOX), geometry.ROWS, *given)

    whole = moved(slice(None))
    for rows in (slice(0, 1), slice(5, 12), slice(64, 130), slice(129, 130)):
        assert torch.equal(moved(rows), whole[rows])


@every_norm
def test_the_official_projections_agree(norm):
    """They work in float32 with the plane given as w z = b, so b is rounded; ours are at least as short."""
    projections = pytest.importorskip("pyautoattack.fab_projections")
    official = getattr(projections, f"projection_{norm}")
    points, slopes, values = planes(60, (3, 5, 5), seed=3, spread=0.3)
    flat, normal = points.flatten(1), slopes.flatten(1)
    theirs = official(flat, normal, (normal * flat).sum(dim=1) - values).view_as(points)
    ours = hyperplane.shortest(points, slopes, values, norm, BOX)
    assert torch.allclose(geometry.norms(ours, norm), geometry.norms(theirs, norm), rtol=1e-4, atol=1e-5)
    if norm == "l2":
        assert torch.allclose(ours.float(), theirs, atol=1e-4)
