"""MI-FGSM with a search over radii: closed forms, and a plain loop of one image at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem

from robeval.attacks.mifgsm_search import mifgsm_search
from robeval.ops import geometry
from robeval.values.threat import ThreatModel

FREE = ThreatModel("linf", float("inf"))


def one_image(model, x, y, steps=10):
    """Protocol of foolbox 1.8, in Python floats: 0.3 times 1.5 up to 20 times, then 20 bisections; the best kept."""
    best = [np.inf, x]

    def run(eps):
        adv, momentum = x.clone(), torch.zeros_like(x)
        for _ in range(steps + 1):
            if int(model(adv).argmax()) != int(y):
                length = float((adv.double() - x.double()).abs().max())
                best[:] = min((length, adv), tuple(best), key=lambda pair: pair[0])
                return True
            adv = adv.detach().requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(model(adv), y), adv)
            momentum = momentum + slope / slope.abs().mean().clamp_min(1e-37)
            adv = (x + (adv.detach() + 0.2 * eps * momentum.sign() - x).clamp(-eps, eps)).clamp(0, 1)
        return False

    bad, good, eps = 0.0, None, 0.3
    for _ in range(20):
        if run(eps):
            good = eps
            break
        bad, eps = eps, 1.5 * eps
    for _ in range(20 if good else 0):
        middle = (bad + good) / 2
        good, bad = (middle, bad) if run(middle) else (good, middle)
    return best[0]


def test_it_is_the_library_s_procedure():
    model, x = ConvNet(COLOUR, kind=torch.nn.Tanh), images(12, COLOUR)
    y = classes(model, x)
    adv = mifgsm_search(problem(model, x, y, FREE, 8))
    found = geometry.distance(adv, x, "linf").numpy()
    expected = [one_image(model, x[i : i + 1], y[i : i + 1]) for i in range(12)]
    assert np.allclose(found, expected, atol=1e-4)
    assert (classes(model, adv) != y).all()


@pytest.mark.parametrize("k", [2, 5])
def test_two_classes_are_found_at_the_exact_distance(k):
    model, x = Linear(COLOUR, k, scale=0.5), images(48, COLOUR, 0.35, 0.65)
    y = classes(model, x)
    exact = model.margin(x, y, "linf").numpy()
    found = geometry.distance(mifgsm_search(problem(model, x, y, FREE)), x, "linf").numpy()
    assert (found >= exact - 1e-6).all()
    if k == 2:
        # The first misclassified iterate counts: with steps of a fifth of a radius that is the exact distance itself.
        assert np.allclose(found, exact, rtol=1e-4, atol=1e-5)
    else:
        assert np.median(found / exact) < 1.5


def test_what_cannot_be_broken_is_given_up():
    x = images(5)
    given = problem(Constant(2), x, torch.zeros(5, dtype=torch.int64), FREE)
    assert torch.equal(mifgsm_search(given, tries=3), x)
    assert given.forwards.tolist() == 5 * [3 * 11], "no bisection without a bracket"
