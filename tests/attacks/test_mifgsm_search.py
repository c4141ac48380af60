"""The radius search against a plain loop over images, exact distances and MI-FGSM itself."""

import math

import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem
from exact import linear_distance

from robeval.attacks.mifgsm import mifgsm
from robeval.attacks.mifgsm_search import mifgsm_search
from robeval.values.threat import ThreatModel

ANYWHERE = {norm: ThreatModel(norm, math.inf) for norm in ("linf", "l2")}
every_norm = pytest.mark.parametrize("norm", ANYWHERE)


def one_by_one(model, x, y, tries, steps=10):
    """The radius at which the search of each image ends; NaN where it finds none."""

    def breaks(image, label, eps):
        adv, momentum = image, torch.zeros_like(image)
        for _ in range(steps):
            adv = adv.detach().requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(model(adv), label), adv)
            momentum = momentum + slope / slope.abs().mean()
            adv = (adv + eps / 5 * momentum.sign()).detach()
            adv = (image + (adv - image).clamp(-eps, eps)).clamp(0, 1)
            if classes(model, adv) != label:
                return (adv - image).abs().max().item()
        return None

    def search(image, label):
        eps = 0.3
        for _ in range(tries):
            found = breaks(image, label, eps)
            if found is not None:
                break
            eps *= 1.5
        else:
            return math.nan
        bad, good, best = 0.0, eps, found
        for _ in range(tries):
            eps = (bad + good) / 2
            found = breaks(image, label, eps)
            bad, good = (bad, eps) if found is not None else (eps, good)
            best = best if found is None else min(best, found)
        return best

    return torch.tensor([search(x[i : i + 1], y[i : i + 1]) for i in range(len(x))], dtype=torch.float64)


@pytest.mark.parametrize("tries", [2, 8])
def test_the_same_radii_as_a_loop_over_images(tries):
    """Radii are halves of halves of 0.3, so any wrong turn shows; float32 may turn one search in its last halves."""
    model, x = ConvNet(COLOUR, kind=torch.nn.Tanh), images(12, COLOUR)
    y = classes(model, x)
    asked = problem(model, x, y, ANYWHERE["linf"])
    distance = asked.distance(mifgsm_search(asked, tries=tries))
    expected = one_by_one(model, x, y, tries)
    assert expected.unique().numel() > 2
    assert torch.allclose(distance.where(distance > 0, torch.nan), expected, atol=1e-6, equal_nan=True)


@every_norm
def test_linear_models_are_solved_exactly_inside_the_box(norm):
    model, x = Linear(COLOUR, 2), images(20, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    asked = problem(model, x, y, ANYWHERE[norm])
    adv = mifgsm_search(asked)
    assert (classes(model, adv) != y).all()
    further = asked.distance(adv) - linear_distance(model, x, y, norm)
    assert further.min() > -1e-6
    assert further.max() < 2e-6


def test_the_radius_found_is_enough_for_mifgsm_and_half_of_it_is_not():
    model, x = ConvNet(COLOUR, kind=torch.nn.Tanh), images(24, COLOUR)
    y = classes(model, x)
    asked = problem(model, x, y, ANYWHERE["linf"])
    distance = asked.distance(mifgsm_search(asked))
    for image, label, eps in zip(x.split(1), y.split(1), distance.tolist()):
        for radius, enough in ((1.02 * eps, True), (0.5 * eps, False)):
            given = problem(model, image, label, ThreatModel("linf", radius))
            adv = mifgsm(given, steps=10, step_size=radius / 5)
            assert (classes(model, adv) != label).item() is enough


def test_the_radius_grows_until_something_is_found():
    """The boundary is just short of 0.45 away: 0.3 does not reach it, and 0.3 * 1.5 does."""
    model = Linear((1, 1, 1), 2)
    model.weight.data, model.bias.data = torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, -0.3999])
    x, y = torch.full((1, 1, 1, 1), 0.45), torch.tensor([0])
    for tries, found in ((1, False), (2, True)):
        adv = mifgsm_search(problem(model, x, y, ANYWHERE["linf"]), tries=tries)
        assert (adv > 0.8999).item() is found
        assert torch.equal(adv, x) is not found


@every_norm
def test_costs_no_more_than_it_says_and_rows_stop_when_they_are_done(norm):
    model, x = Linear(COLOUR, 3), images(8, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    y[0] = (y[0] + 1) % 3
    asked = problem(model, x, y, ANYWHERE[norm])
    mifgsm_search(asked, tries=5, steps=4)
    assert asked.forwards[0] == 1
    assert (asked.forwards[1:] <= 1 + 6 * 5).all(), "the first radius is enough: one try and five bisections"
    assert (asked.backwards[1:] <= 6 * 4).all()
    assert (asked.backwards[1:] > 6).all()
    x, y = images(3), torch.zeros(3, dtype=torch.int64)
    asked = problem(Constant(2), x, y, ANYWHERE[norm])
    assert torch.equal(mifgsm_search(asked, tries=5, steps=4), x)
    assert set(asked.backwards.tolist()) == {5 * 4}, "bisection needs a success"
