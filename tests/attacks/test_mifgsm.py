"""MI-FGSM against Algorithm 1, and against two libraries that each depart from it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import Constant, images, problem
from torch import nn

from robeval.attacks.mifgsm import mifgsm
from robeval.attacks.pgd import pgd
from robeval.values.threat import ThreatModel

EPS, STEP = 16 / 256, 2 / 256
LINF, L2 = ThreatModel("linf", EPS), ThreatModel("l2", 0.5)


def slope_of(model, x, y):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)[0]


def algorithm_1(model, x, y, steps, step, eps, decay=1.0):
    """Dong et al. (2018): g <- mu g + grad / ||grad||_1, x <- clip(x + alpha sign(g)); in numpy float64."""
    centre = x.double().numpy()
    adv, momentum = centre, np.zeros_like(centre)
    for _ in range(steps):
        slope = slope_of(model, torch.from_numpy(adv).float(), y).double().numpy()
        size = np.abs(slope).sum(axis=(1, 2, 3), keepdims=True)
        momentum = decay * momentum + np.divide(slope, size, out=np.zeros_like(slope), where=size > 0)
        adv = np.clip(np.clip(adv + step * np.sign(momentum), centre - eps, centre + eps), 0, 1)
    return torch.from_numpy(adv).float()


def equation_8(model, x, y, steps, step, eps, decay=1.0):
    """The same for l2: x <- clip(x + alpha g / ||g||_2)."""
    centre = x.double().numpy()
    adv, momentum = centre, np.zeros_like(centre)

    def length(v):
        return np.sqrt((v**2).sum(axis=(1, 2, 3), keepdims=True))

    for _ in range(steps):
        slope = slope_of(model, torch.from_numpy(adv).float(), y).double().numpy()
        momentum = decay * momentum + slope / np.abs(slope).sum(axis=(1, 2, 3), keepdims=True)
        adv = adv + step * momentum / length(momentum)
        adv = np.clip(centre + (adv - centre) * np.minimum(1, eps / length(adv - centre)), 0, 1)
    return torch.from_numpy(adv).float()


class Ledge(nn.Module):
    """Upwards below 0.5, and flat above."""

    def forward(self, x):
        height = x.flatten(1).sum(dim=1).clamp(max=0.5)
        return torch.stack([-height, height], dim=1)


ON_LEDGE = torch.full((2, 1, 1, 1), 0.48), torch.zeros(2, dtype=torch.int64)


class Saturated(nn.Module):
    """Logits so far apart that float32 cross-entropy is flat for most images."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return 300 * self.model(x)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_linf_is_algorithm_1(exact, steps, decay):
    model, x, y = exact
    adv = mifgsm(problem(model, x, y, LINF), steps=steps, step_size=STEP, decay=decay)
    assert torch.equal(adv, algorithm_1(model, x, y, steps, STEP, EPS, decay))


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_l2_is_equation_8(exact, steps):
    model, x, y = exact
    adv = mifgsm(problem(model, x, y, L2), steps=steps, step_size=0.1, decay=0.9)
    assert torch.allclose(adv, equation_8(model, x, y, steps, 0.1, 0.5, 0.9), atol=1e-5)


def test_the_step_is_the_radius_over_the_number_of_steps(exact):
    model, x, y = exact
    given = mifgsm(problem(model, x, y, LINF), steps=8, step_size=EPS / 8)
    assert torch.equal(mifgsm(problem(model, x, y, LINF), steps=8), given)


def test_without_memory_it_is_pgd_from_the_image_itself(exact):
    model, x, y = exact
    adv = mifgsm(problem(model, x, y, LINF), steps=10, step_size=STEP, decay=0.0)
    assert torch.equal(adv, pgd(problem(model, x, y, LINF), steps=10, step_size=STEP, random_start=False))
    assert not torch.equal(adv, mifgsm(problem(model, x, y, LINF), steps=10, step_size=STEP))


def test_momentum_goes_through_a_step_without_gradient():
    """The first step is up the slope, then the model is flat: momentum goes on where PGD stands still."""
    adv = mifgsm(problem(Ledge(), *ON_LEDGE, ThreatModel("linf", 0.25)), steps=5, step_size=0.05)
    assert adv.flatten().tolist() == pytest.approx([0.73, 0.73])
    adv = pgd(problem(Ledge(), *ON_LEDGE, ThreatModel("linf", 0.25)), steps=5, step_size=0.05, random_start=False)
    assert adv.flatten().tolist() == pytest.approx([0.53, 0.53])


def test_torchattacks_takes_the_same_steps_where_no_gradient_is_zero(exact, trades_exact):
    """It divides by the mean instead of the sum of |g|: a constant factor, which the sign does not see."""
    torchattacks = pytest.importorskip("torchattacks")
    for model, x, y in (exact, trades_exact):
        theirs = torchattacks.MIFGSM(model, eps=EPS, alpha=STEP, steps=10, decay=1.0)(x, y)
        ours = mifgsm(problem(model, x, y, LINF, size=len(x)), steps=10, step_size=STEP)
        assert torch.equal(ours, theirs)


def test_torchattacks_divides_by_zero_and_stands_still_and_we_go_on():
    """0/0 makes all of its momentum NaN, whose sign is 0: the image never moves again."""
    torchattacks = pytest.importorskip("torchattacks")
    theirs = torchattacks.MIFGSM(Ledge(), eps=0.25, alpha=0.05, steps=5)(*ON_LEDGE)
    assert theirs.flatten().tolist() == pytest.approx([0.53, 0.53])
    ours = mifgsm(problem(Ledge(), *ON_LEDGE, ThreatModel("linf", 0.25)), steps=5, step_size=0.05)
    assert ours.flatten().tolist() == pytest.approx([0.73, 0.73])


def test_a_gradient_of_zero_moves_nothing(exact):
    x, y = images(4), torch.zeros(4, dtype=torch.int64)
    for threat in (LINF, L2):
        assert torch.equal(mifgsm(problem(Constant(), x, y, threat), steps=3), x)
    model, x, y = exact
    saturated = Saturated(model)
    flat = (slope_of(saturated, x, y) == 0).flatten(1).all(dim=1)
    assert 4 < flat.sum() < 28
    adv = mifgsm(problem(saturated, x, y, LINF), steps=3, step_size=STEP)
    assert torch.equal(adv[flat], x[flat])
    assert torch.equal(adv, algorithm_1(saturated, x, y, 3, STEP, EPS))


def test_foolbox_adds_up_signs_where_the_paper_adds_up_gradients(exact):
    """Its momentum counts every step's sign alike, so a pixel with one large and two small slopes goes astray."""
    foolbox = pytest.importorskip("foolbox")
    model, x, y = exact
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))

    def theirs(steps):
        attack = foolbox.attacks.LinfMomentumIterativeFastGradientMethod(abs_stepsize=STEP, steps=steps)
        return attack(wrapped, x, y, epsilons=EPS)[1]

    adv, signs = x, torch.zeros_like(x)
    for _ in range(10):
        signs = signs + slope_of(model, adv, y).sign()
        adv = torch.clamp(torch.clamp(adv + STEP * signs.sign() - x, -EPS, EPS) + x, 0, 1)
    assert torch.equal(theirs(10), adv), "what it does"
    ours = mifgsm(problem(model, x, y, LINF), steps=10, step_size=STEP)
    assert not torch.equal(theirs(10), ours)
    assert torch.equal(ours, algorithm_1(model, x, y, 10, STEP, EPS)), "what the paper says"
    assert torch.equal(theirs(1), mifgsm(problem(model, x, y, LINF), steps=1, step_size=STEP)), "the first step agrees"


def test_a_step_with_a_large_gradient_counts_as_much_as_any_other():
    """Steep upwards below 0.5 and gently downwards above: one step down cancels one step up."""

    class Cliff(nn.Module):
        def forward(self, x):
            value = x[:, 0, 0, 0] - 0.5
            height = torch.where(value < 0, 10 * value, -0.01 * value)
            return torch.stack([torch.zeros_like(height), height], dim=1)

    x, y = torch.full((1, 1, 1, 1), 0.45), torch.tensor([0])
    threat = ThreatModel("linf", 0.4)
    walk = [mifgsm(problem(Cliff(), x, y, threat), steps=steps, step_size=0.1).item() for steps in (1, 2, 3, 4)]
    assert walk == pytest.approx([0.55, 0.55, 0.45, 0.45])


def test_costs_one_forward_and_one_backward_a_step(exact):
    asked = problem(*exact, LINF)
    mifgsm(asked, steps=7)
    assert set(asked.forwards.tolist()) == set(asked.backwards.tolist()) == {7}
