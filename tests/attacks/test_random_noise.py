"""Random points: where they are, how they are spread, and that the first that is misclassified is kept."""

import math

import pytest
import torch
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem
from torch import nn

from robeval.attacks.random_noise import random_noise
from robeval.ops import geometry
from robeval.values.threat import ThreatModel

every_norm = pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
every_draw = pytest.mark.parametrize("draws", ["uniform", "corner"])
SHAPE = (3, 2, 2)


class Seen:
    """Every point by image."""

    def __init__(self):
        self.points = {}

    def __call__(self, asked, rows, points, logits, values):
        for row, point in zip(rows.tolist(), points):
            self.points.setdefault(row, []).append(point.clone())


def drawn(norm, draws, eps, tries=500, n=4, centre=0.5):
    """All points that are tried around a grey image of 12 numbers, less the image, (n * tries, 12)."""
    x, seen = torch.full((n, *SHAPE), centre), Seen()
    asked = problem(Constant(), x, torch.zeros(n, dtype=torch.int64), ThreatModel(norm, eps), watch=seen)
    random_noise(asked, draws=draws, tries=tries)
    return torch.stack([point for row in range(n) for point in seen.points[row]]).flatten(1).double() - centre


def test_corners_of_the_linf_ball_are_drawn_alike():
    points = drawn("linf", "corner", 0.25)
    assert set(points.unique().tolist()) == {-0.25, 0.25}
    up = (points > 0).double()
    assert ((up.mean(dim=0) - 0.5).abs() < 4 * 0.5 / math.sqrt(len(points))).all()
    together = (up - 0.5).T @ (up - 0.5) / len(points)
    assert (together - together.diag().diag()).abs().max() < 4 * 0.25 / math.sqrt(len(points)), "independent pixels"


def test_corners_at_the_border_are_cut_at_the_box():
    points = drawn("linf", "corner", 0.25, tries=20, centre=0.875)
    assert set(points.unique().tolist()) == {-0.25, 0.125}


def test_points_of_the_l2_sphere_are_at_distance_eps_in_every_direction():
    points = drawn("l2", "corner", 0.25)
    assert torch.allclose(points.norm(dim=1), torch.tensor(0.25, dtype=torch.float64), atol=1e-5)
    assert (points.norm(dim=1) <= 0.25).all()
    covariance = points.T @ points / len(points)
    assert torch.allclose(covariance, torch.eye(12, dtype=torch.float64) * 0.25**2 / 12, atol=8e-4)
    assert points.mean(dim=0).abs().max() < 4 * 0.25 / math.sqrt(12 * len(points))


def test_vertices_of_the_l1_ball_are_drawn_alike():
    points = drawn("l1", "corner", 0.25)
    changed = points != 0
    assert (changed.sum(dim=1) == 1).all()
    assert torch.allclose(points.abs().sum(dim=1), torch.tensor(0.25, dtype=torch.float64), atol=1e-5)
    counts = torch.stack([(points > 0).sum(dim=0), (points < 0).sum(dim=0)]).double()
    expected = len(points) / 24
    assert float(((counts - expected) ** 2 / expected).sum()) < 49.7, "23 degrees of freedom, one case of a thousand"


@every_norm
def test_uniform_points_are_uniform_in_the_ball(norm):
    """The share of the radius, to the power of the dimension, is uniform on [0, 1] in any norm."""
    points = drawn(norm, "uniform", 0.25)
    length = {"linf": points.abs().amax(dim=1), "l2": points.norm(dim=1), "l1": points.abs().sum(dim=1)}[norm]
    shares = ((length / 0.25) ** 12).sort().values
    steps = (torch.arange(len(shares)) + 0.5) / len(shares)
    assert (shares - steps).abs().max() < 1.95 / math.sqrt(len(shares)), "Kolmogorov-Smirnov, one case of a thousand"
    assert points.mean(dim=0).abs().max() < 0.02


@every_norm
@every_draw
def test_every_try_is_inside_the_ball_and_the_box(norm, draws):
    x, seen = images(6, COLOUR, -0.2, 1.2).clamp(0, 1), Seen()
    threat = ThreatModel(norm, 0.3)
    random_noise(problem(Constant(), x, torch.zeros(6, dtype=torch.int64), threat, watch=seen), draws=draws, tries=20)
    for row in range(6):
        points = torch.stack(seen.points[row])
        assert len(points.flatten(1).unique(dim=0)) > 12
        assert geometry.inside(points, x[row].expand_as(points), threat).all()


@every_norm
@every_draw
def test_the_first_misclassified_point_is_kept_and_the_last_where_there_is_none(norm, draws):
    model, seen = ConvNet(COLOUR), Seen()
    x = images(32, COLOUR)
    y = classes(model, x)
    asked = problem(model, x, y, ThreatModel(norm, {"linf": 0.15, "l2": 1.2, "l1": 3.0}[norm]), watch=seen)
    adv = random_noise(asked, draws=draws, tries=12)
    broken = classes(model, adv) != y
    assert 1 < broken.sum() < 31
    for row in range(32):
        wrong = classes(model, torch.stack(seen.points[row])) != y[row]
        assert torch.equal(adv[row], seen.points[row][-1])
        assert not wrong[:-1].any()
        assert bool(wrong[-1]) == bool(broken[row])
        assert broken[row] or len(wrong) == 12
        assert asked.forwards[row] == len(wrong)


@every_draw
def test_a_linear_model_of_one_pixel_is_broken_where_eps_suffices(draws):
    """One of many points is on the right side, and a corner is the furthest of all."""
    model = Linear((1, 1, 1))
    x = images(40, (1, 1, 1))
    y = classes(model, x)
    for norm in ("linf", "l2", "l1"):
        margin = model.margin(x, y, norm)
        eps = 0.3
        broken = classes(model, random_noise(problem(model, x, y, ThreatModel(norm, eps)), draws=draws)) != y
        assert not broken[margin > eps + 1e-6].any()
        assert broken[margin < 0.8 * eps].all()
        assert (margin < 0.8 * eps).any()


@every_draw
def test_no_gradient_is_needed(draws):
    class Rounded(nn.Module):
        def forward(self, x):
            light = (x.flatten(1).mean(dim=1) > 0.5).float()
            return torch.stack([1 - light, light], dim=1).detach()

    x = images(8, COLOUR, 0.49, 0.51)
    y = classes(Rounded(), x)
    adv = random_noise(problem(Rounded(), x, y, ThreatModel("linf", 0.3)), draws=draws)
    assert (classes(Rounded(), adv) != y).all()
