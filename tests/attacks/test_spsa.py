"""SPSA against slopes and steps that are known, on models with and without a gradient."""

import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, GREY, Constant, ConvNet, Linear, classes, images, problem
from torch import nn

from robeval.attacks.pgd import pgd
from robeval.attacks.spsa import estimated_slope, spsa
from robeval.ops import geometry
from robeval.values.threat import ThreatModel

LINF, L2 = ThreatModel("linf", 0.05), ThreatModel("l2", 0.5)


def true_slope(model, x, y):
    """The slope of the margin of a linear model of two classes."""
    towards = model.weight[1 - y] - model.weight[y]
    return towards.detach().view_as(x)


def cosine(one, other):
    return F.cosine_similarity(one.flatten(1), other.flatten(1))


def test_the_estimate_turns_towards_the_true_slope_as_samples_grow():
    """For a linear model the estimate is (1/n) sum (v . g) v, whose cosine with g is near sqrt(n / (n + d))."""
    model, x = Linear(COLOUR), images(24, COLOUR)
    y = classes(model, x)
    d = 108
    means = []
    for samples in (4, 32, 256):
        slope = estimated_slope(problem(model, x, y, LINF), x, samples, 0.01)
        means.append(float(cosine(slope, true_slope(model, x, y)).mean()))
        assert means[-1] == pytest.approx((samples / (samples + d)) ** 0.5, abs=0.08)
    assert means == sorted(means)
    assert means[-1] > 0.8


def test_the_estimate_is_unbiased():
    model, x = Linear((1, 2, 2)), images(2, (1, 2, 2))
    y = classes(model, x)
    slope = estimated_slope(problem(model, x, y, LINF), x, 4000, 0.01)
    assert torch.allclose(slope, true_slope(model, x, y), atol=0.1 * float(true_slope(model, x, y).abs().max()))


def test_one_pair_is_the_difference_quotient_along_its_direction():
    """(v . g) v: every entry has the same size, |v . g|, and its product with g is (v . g)^2."""
    model, x = Linear(COLOUR), images(8, COLOUR)
    y = classes(model, x)
    for delta in (0.01, 0.1):
        slope = estimated_slope(problem(model, x, y, LINF), x, 1, delta).flatten(1)
        size = slope[:, :1].abs()
        assert torch.allclose(slope.abs(), size.expand_as(slope), rtol=1e-4)
        along = (slope.sign() * true_slope(model, x, y).flatten(1)).sum(dim=1, keepdim=True)
        assert torch.allclose(along, size, rtol=2e-2, atol=1e-2)


def test_a_pair_without_an_answer_says_nothing():
    class Holes(nn.Module):
        """Right of the middle it has no answer."""

        def forward(self, x):
            sums = x.flatten(1).sum(dim=1)
            return torch.stack([torch.zeros_like(sums), sums.where(sums < 18, torch.nan)], dim=1)

    x = torch.full((3, *GREY), 0.5)
    slope = estimated_slope(problem(Holes(), x, torch.zeros(3, dtype=torch.int64), LINF), x, 4, 0.01)
    assert (slope.isfinite()).all()
    adv = spsa(problem(Holes(), x, torch.zeros(3, dtype=torch.int64), LINF), steps=3, samples=4)
    assert adv.isfinite().all()


def test_the_first_step_of_adam_is_the_sign_of_the_estimate():
    model, x = Linear(COLOUR, scale=5), images(12, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    threat = ThreatModel("linf", 0.3)
    adv = spsa(problem(model, x, y, threat), steps=1, step_size=0.02, samples=16)
    slope = estimated_slope(problem(model, x, y, threat), x, 16, 0.01)
    assert torch.allclose(adv - x, 0.02 * slope.sign(), atol=1e-5)


@pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
def test_later_steps_are_those_of_torchs_adam(threat):
    """The same estimates given to torch.optim.Adam, and the ball after each step."""
    model, x = Linear(COLOUR, scale=0.1), images(6, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    near = ThreatModel(threat.norm, float(model.margin(x, y, threat.norm).min()) * 0.9)  # nothing breaks
    ours = problem(model, x, y, near)
    adv = spsa(ours, steps=8, step_size=0.02, samples=6)
    asked = problem(model, x, y, near)
    variable = x.clone().requires_grad_()
    optimizer = torch.optim.Adam([variable], lr=0.02, maximize=True)
    for _ in range(8):
        variable.grad = estimated_slope(asked, variable.detach(), 6, 0.01)
        optimizer.step()
        with torch.no_grad():
            variable.copy_(asked.project(variable))
    assert torch.allclose(adv, variable.detach(), atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_is_broken_where_eps_suffices_and_nowhere_else(norm):
    model = Linear(COLOUR, 2, scale=0.5)
    x = images(24, COLOUR, 0.45, 0.55)
    y = classes(model, x)
    margin = model.margin(x, y, norm)
    for eps in (float(margin.median()), float(margin.max())):
        asked = problem(model, x, y, ThreatModel(norm, eps))
        adv = spsa(asked, steps=30, step_size=eps / 4 if norm == "linf" else eps / 20, samples=24)
        broken = classes(model, adv) != y
        assert not broken[margin > eps * 1.0001].any()
        assert broken[1.3 * margin < eps].all()
        assert (1.3 * margin < eps).sum() > 2
        assert geometry.inside(adv, x, asked.threat).all()


def test_nearly_as_strong_as_pgd_on_a_small_network():
    model = ConvNet(COLOUR)
    x = images(32, COLOUR)
    y = classes(model, x)
    threat = ThreatModel("linf", 0.03)
    theirs = pgd(problem(model, x, y, threat), steps=20, step_size=0.005, loss="margin", random_start=False)
    ours = spsa(problem(model, x, y, threat), steps=20, step_size=0.01, samples=64)
    counts = [int((classes(model, adv) != y).sum()) for adv in (theirs, ours)]
    assert 8 < counts[0] < 32
    assert counts[1] >= 0.8 * counts[0], counts


@pytest.mark.parametrize("threat", [ThreatModel("linf", 0.25), ThreatModel("l2", 2.5)], ids=["linf", "l2"])
def test_no_gradient_is_needed(threat):
    class Quantised(nn.Module):
        def forward(self, x):
            return (4 * ConvNet(COLOUR)(x)).round().detach()

    model = Quantised()
    x = images(16, COLOUR)
    y = classes(model, x)
    adv = spsa(problem(model, x, y, threat), steps=20, step_size=0.03, samples=16, delta=0.1)
    assert (classes(model, adv) != y).float().mean() > 0.8


def test_what_it_costs_and_that_it_stops_at_success():
    x, y = images(4), torch.zeros(4, dtype=torch.int64)
    asked = problem(Constant(), x, y, LINF)
    spsa(asked, steps=3, samples=5)
    assert set(asked.forwards.tolist()) == {3 * 11}
    assert set(asked.backwards.tolist()) == {0}
    model = Linear(GREY)
    x = images(24)
    asked = problem(model, x, classes(model, x), ThreatModel("linf", 0.1))
    adv = spsa(asked, steps=10, samples=8)
    broken = classes(model, adv) != asked.y
    assert 2 < broken.sum() < 24
    assert (asked.forwards % 17 == 0).all()
    assert (asked.forwards[~broken] == 170).all()
    assert (asked.forwards[broken] < 170).any()
