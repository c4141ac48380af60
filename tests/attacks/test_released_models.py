"""Our attacks against those of other libraries, step by step, on CIFAR-10 and MNIST networks that others released."""

import math
from dataclasses import replace

import pytest
import torch
from doubles import classes, problem
from official import Recorder, apart, ours, theirs
from torch import nn

from robeval.attacks.apgd import apgd
from robeval.attacks.apgd_targeted import apgd_targeted
from robeval.attacks.fab import fab_targeted
from robeval.attacks.mifgsm import mifgsm
from robeval.attacks.pgd import pgd
from robeval.ops import geometry


class Asked(Recorder):
    """Notes only the images about whose gradient the model is asked."""

    def forward(self, x):
        if x.requires_grad:
            return super().forward(x)
        return self.model(x)


def assert_together(way, other, rounding=0.0):
    """Every image goes the same way to the end, up to rounding; but one in sixteen may part in the last bit.

    That turns the sign of a slope that is nearly 0, or puts an iterate on the other side of the boundary. Signs of
    slopes move pixels by multiples of the step, which float32 holds exactly here, so there is nothing else to differ.
    """
    assert len(way) == len(other) > 4
    far = torch.stack([apart(*points) for points in zip(way, other)])  # (t, n)
    assert (far[:2] <= rounding).all()
    assert (far.amax(dim=0) > 10 * rounding).sum() <= far.shape[1] // 16


def assert_near(way, other, threat):
    """The first steps are the same to 2 % of the radius, and three of four images stay within 10 % to the end.

    Steps of other norms are rounded, and a deep network makes more of that with every step. Returns which images stay.
    """
    assert len(way) == len(other) > 4
    far = torch.stack([geometry.distance(*points, threat.norm) for points in zip(way, other)]) / threat.eps
    assert (far[:3] <= 0.02).all()
    together = far.amax(dim=0) <= 0.1
    assert together.float().mean() >= 0.75
    return together


def in_norm(threat, norm, x):
    """A ball of another norm in which about as many images fall: less than the volume, as corners are out of reach."""
    pixels = math.prod(x.shape[1:])
    return replace(threat, norm=norm, eps=threat.eps * (0.5 * pixels**0.5 if norm == "l2" else 0.1 * pixels))


def assert_same_fate(model, y, mine, other):
    """The same images break, some of them and not none."""
    broken = classes(model, other) != y
    assert broken.any()
    assert torch.equal(classes(model, mine) != y, broken)


def test_pgd_as_foolbox(released):
    foolbox = pytest.importorskip("foolbox")
    model, x, y, threat = released
    mine, other, size = Asked(model), Asked(model.requires_grad_(False)), threat.eps / 4
    pgd(problem(mine, x, y, threat, len(x)), steps=8, step_size=size, random_start=False)
    kind = foolbox.attacks.LinfProjectedGradientDescentAttack
    network = foolbox.PyTorchModel(other.eval(), bounds=(0, 1), device="cpu")
    attack = kind(abs_stepsize=size, steps=8, random_start=False)
    attack.run(network, x, foolbox.Misclassification(y), epsilon=threat.eps)
    assert_together(mine.points, other.points)


@pytest.mark.parametrize("library", ["foolbox", "torchattacks"])
def test_pgd_in_l2_from_the_same_random_start(released, library, monkeypatch):
    pytest.importorskip(library)
    model, x, y, threat = released
    threat = in_norm(threat, "l2", x)
    mine, other, size = Asked(model), Asked(model.requires_grad_(False)), threat.eps / 4
    asked = problem(mine, x, y, threat, len(x))
    start = asked.random_point()
    pgd(problem(mine, x, y, threat, len(x)), steps=6, step_size=size, clip_start=True)
    (by_foolbox if library == "foolbox" else by_torchattacks)(other, x, y, threat.eps, size, start, monkeypatch)
    assert_near(mine.points, other.points, threat)
    assert (mine.points[0] != x).any()


def by_foolbox(model, x, y, eps, size, start, monkeypatch):
    import foolbox

    attack = foolbox.attacks.L2ProjectedGradientDescentAttack(abs_stepsize=size, steps=6, random_start=True)
    attack.get_random_start = lambda x0, eps: type(x0)(start)
    network = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu")
    attack.run(network, x, foolbox.Misclassification(y), epsilon=eps)


def by_torchattacks(model, x, y, eps, size, start, monkeypatch):
    """It draws a direction and a share of eps, and begins at their product."""
    import torchattacks

    change = start - x
    share = change.flatten(1).norm(dim=1)[:, None, None, None] / eps
    monkeypatch.setattr(torch.Tensor, "normal_", lambda *_: change.clone())
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda *_: share)
    model.place = nn.Parameter(torch.zeros(1), requires_grad=False)
    torchattacks.PGDL2(model.eval(), eps=eps, alpha=size, steps=6)(x, y)


def test_mifgsm_as_torchattacks(released):
    torchattacks = pytest.importorskip("torchattacks")
    model, x, y, threat = released
    mine, other, size = Asked(model), Asked(model), threat.eps / 4
    mifgsm(problem(mine, x, y, threat, len(x)), steps=8, step_size=size)
    other.place = nn.Parameter(torch.zeros(1), requires_grad=False)
    torchattacks.MIFGSM(other.eval(), eps=threat.eps, alpha=size, steps=8)(x, y)
    assert_together(mine.points, other.points)


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_as_the_released_code(released, loss):
    model, x, y, threat = released
    mine, way = ours(apgd, model, x, y, threat, loss=loss, steps=12)
    other, their_way = theirs("APGDAttack", model, x, y, threat, loss=loss, n_iter=12)
    assert_together(way, their_way)
    assert_same_fate(model, y, mine, other)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_apgd_in_other_norms_as_the_released_code(released, norm):
    model, x, y, threat = released
    threat = in_norm(threat, norm, x)
    mine, way = ours(apgd, model, x, y, threat, steps=10, parity="autoattack")
    other, their_way = theirs("APGDAttack", model, x, y, threat, n_iter=10)
    together = assert_near(way, their_way, threat)
    broken = classes(model, other) != y
    assert broken.any()
    assert torch.equal((classes(model, mine) != y)[together], broken[together])


def test_targeted_apgd_as_the_released_code(released):
    model, x, y, threat = released
    mine, _ = ours(apgd_targeted, model, x, y, threat, targets=2, steps=10)
    other, _ = theirs("APGDAttack_targeted", model, x, y, threat, n_target_classes=2, n_iter=10)
    assert_same_fate(model, y, mine, other)
    broken = classes(model, other) != y
    assert (apart(mine, other)[broken] > 0).sum() <= len(y) // 16


def test_fab_as_the_released_code(released):
    pt = pytest.importorskip("pyautoattack.fab_pt")
    model, x, y, threat = released
    mine, other = Asked(model), Asked(model)
    adv = fab_targeted(problem(mine, x, y, threat, len(x)), steps=8, targets=1, parity="autoattack")
    attack = pt.FABAttack_PT(other, norm="Linf", n_iter=8, eps=threat.eps, targeted=True)
    attack.target_class = 2
    their_adv = attack.attack_single_run(x, y, is_targeted=True)
    assert_together(mine.points, other.points, rounding=1e-6)
    assert_same_fate(model, y, adv, their_adv)
