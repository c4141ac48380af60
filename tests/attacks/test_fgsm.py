"""FGSM against its formula, torchattacks and foolbox."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, Constant, Linear, classes, images, problem

from robeval.attacks.fgsm import fgsm
from robeval.ops import geometry
from robeval.ops.losses import cross_entropy, margin
from robeval.values.threat import ThreatModel

EPS = 16 / 256
LINF, L2 = ThreatModel("linf", EPS), ThreatModel("l2", 0.5)


def slope_of(model, x, y):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)[0]


def test_linf_is_the_formula(exact):
    model, x, y = exact
    by_hand = np.clip(x.numpy() + np.float32(EPS) * np.sign(slope_of(model, x, y).numpy()), 0, 1)
    assert np.array_equal(fgsm(problem(model, x, y, LINF)), by_hand)


def test_l2_is_the_formula(exact):
    model, x, y = exact
    slope = slope_of(model, x, y).double().numpy()
    unit = slope / np.sqrt((slope**2).sum(axis=(1, 2, 3), keepdims=True))
    adv = fgsm(problem(model, x, y, L2)).numpy()
    assert np.abs(adv - np.clip(x.numpy() + 0.5 * unit, 0, 1)).max() < 1e-5


def test_equals_torchattacks(exact, trades_exact):
    torchattacks = pytest.importorskip("torchattacks")
    for model, x, y in (exact, trades_exact):
        theirs = torchattacks.FGSM(model, eps=EPS)(x, y)
        assert torch.equal(fgsm(problem(model, x, y, LINF, size=len(x))), theirs)


def test_equals_foolbox(exact, trades_exact):
    foolbox = pytest.importorskip("foolbox")
    for model, x, y in (exact, trades_exact):
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
        _, theirs, _ = foolbox.attacks.LinfFastGradientAttack()(wrapped, x, y, epsilons=EPS)
        assert torch.equal(fgsm(problem(model, x, y, LINF, size=len(x))), theirs)
        _, theirs, _ = foolbox.attacks.L2FastGradientAttack()(wrapped, x, y, epsilons=0.5)
        assert torch.allclose(fgsm(problem(model, x, y, L2, size=len(x))), theirs, atol=1e-5)


def test_random_start_is_a_step_from_a_random_point_projected_back(exact):
    """BAT, Tables 3 and 4: x0 = x + U(-eps, eps), not clipped, then a step of eps, then ball and box."""
    model, x, y = exact
    start = problem(model, x, y, LINF).random_point()
    assert ((start < 0) | (start > 1)).any()
    by_hand = start + EPS * slope_of(model, start, y).sign()
    by_hand = torch.clamp(torch.clamp(by_hand - x, -EPS, EPS) + x, 0, 1)
    adv = fgsm(problem(model, x, y, LINF), random_start=True)
    assert torch.allclose(adv, by_hand, atol=1e-6)
    assert not torch.equal(adv, fgsm(problem(model, x, y, LINF)))


def test_the_loss_is_climbed(exact):
    model, x, y = exact
    for name, loss in (("ce", cross_entropy), ("margin", margin)):
        asked = problem(model, x, y, ThreatModel("linf", 1e-3))
        with torch.no_grad():
            gained = loss(model(fgsm(asked, loss=name)), y) - loss(model(x), y)
        assert (gained > 0).all()


def test_reaches_the_corner_of_the_ball_on_a_linear_model():
    model, x = Linear(COLOUR), images(20, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    adv = fgsm(problem(model, x, y, LINF))
    assert torch.allclose((adv - x).abs(), torch.tensor(EPS), atol=1e-7)
    moved = geometry.distance(fgsm(problem(model, x, y, L2)), x, "l2")
    assert torch.allclose(moved, torch.full_like(moved, 0.5), atol=1e-5)


def test_a_gradient_of_zero_moves_nothing():
    x, y = images(5), torch.zeros(5, dtype=torch.int64)
    for threat in (LINF, L2):
        assert torch.equal(fgsm(problem(Constant(), x, y, threat)), x)


def test_costs_one_forward_and_one_backward(exact):
    asked = problem(*exact, LINF)
    fgsm(asked)
    assert set(asked.forwards.tolist()) == set(asked.backwards.tolist()) == {1}
