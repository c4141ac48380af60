"""Our attacks against those of other libraries, step by step, on CIFAR-10 and MNIST networks that others released."""

import math
from dataclasses import replace

import pytest
import torch
from doubles import Grid, classes, problem
from official import Recorder, apart, ours, theirs
from torch import nn

from robeval.attacks.apgd import apgd
from robeval.attacks.apgd_targeted import apgd_targeted
from robeval.attacks.fab import fab_targeted
from robeval.attacks.mifgsm import mifgsm
from robeval.attacks.pgd import pgd
from robeval.ops import geometry

STEPS = 8


class Asked(Recorder):
    """Notes only the images about whose gradient the model is asked."""

    def forward(self, x):
        if x.requires_grad:
            return super().forward(x)
        return self.model(x)


def assert_together(way, other, rounding=0.0):
    """Every image goes the same way to the end, up to rounding; but one in thirteen may part in the last bit.

    That turns the sign of a slope that is nearly 0, or puts an iterate on the other side of the boundary. Signs of
    slopes move pixels by multiples of the step, which float32 holds exactly here, so there is nothing else to differ.
    """
    assert len(way) == len(other) > 4
    far = torch.stack([apart(*points) for points in zip(way, other)])  # (t, n)
    assert (far[:2] <= rounding).all()
    assert (far.amax(dim=0) > 10 * rounding).sum() <= far.shape[1] // 13


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


@pytest.mark.parametrize("start", ["from the image", "from the same random start"])
@pytest.mark.parametrize("library", ["foolbox", "torchattacks"])
def test_pgd_as_other_libraries(released, library, start, monkeypatch):
    pytest.importorskip(library)
    model, x, y, threat = released
    mine, other, size = Asked(model), Asked(model.requires_grad_(False)), threat.eps / 4
    point = None if "image" in start else problem(model, x, y, threat, len(x), noise=Grid).random_point()
    asked = problem(mine, x, y, threat, len(x), noise=Grid)
    pgd(asked, steps=STEPS, step_size=size, random_start=point is not None, clip_start=True)
    BY[library](other, x, y, threat, size, point, monkeypatch)
    assert_together(mine.points, other.points)
    assert torch.equal(mine.points[0], x if point is None else point.clamp(0, 1))


@pytest.mark.parametrize("library", ["foolbox", "torchattacks"])
def test_pgd_in_l2_from_the_same_random_start(released, library, monkeypatch):
    pytest.importorskip(library)
    model, x, y, threat = released
    threat = in_norm(threat, "l2", x)
    mine, other, size = Asked(model), Asked(model.requires_grad_(False)), threat.eps / 4
    start = problem(model, x, y, threat, len(x)).random_point()
    pgd(problem(mine, x, y, threat, len(x)), steps=STEPS, step_size=size, clip_start=True)
    BY[library](other, x, y, threat, size, start, monkeypatch)
    assert_near(mine.points, other.points, threat)
    assert (mine.points[0] != x).any()


def by_foolbox(model, x, y, threat, size, start, monkeypatch, kind="ProjectedGradientDescentAttack", **given):
    import foolbox

    name = {"linf": "Linf", "l2": "L2"}[threat.norm]
    given |= {"abs_stepsize": size, "steps": STEPS, "random_start": start is not None}
    attack = getattr(foolbox.attacks, f"{name}{kind}")(**given)
    attack.get_random_start = lambda x0, eps: type(x0)(start)
    network = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu")
    attack.run(network, x, foolbox.Misclassification(y), epsilon=threat.eps)


def by_torchattacks(model, x, y, threat, size, start, monkeypatch):
    """For l-inf it draws a change; for l2 a direction and a share of eps, and begins at their product."""
    import torchattacks

    change = x - x if start is None else start - x
    share = change.flatten(1).norm(dim=1)[:, None, None, None] / threat.eps
    monkeypatch.setattr(torch.Tensor, "normal_", lambda *_: change.clone())
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda *_: change if threat.norm == "linf" else share)
    model.place = nn.Parameter(torch.zeros(1), requires_grad=False)
    kind = torchattacks.PGD if threat.norm == "linf" else torchattacks.PGDL2
    kind(model.eval(), eps=threat.eps, alpha=size, steps=STEPS, random_start=start is not None)(x, y)


BY = {"foolbox": by_foolbox, "torchattacks": by_torchattacks}


def test_mifgsm_as_torchattacks(released):
    torchattacks = pytest.importorskip("torchattacks")
    model, x, y, threat = released
    mine, other, size = Asked(model), Asked(model), threat.eps / 4
    mifgsm(problem(mine, x, y, threat, len(x)), steps=STEPS, step_size=size)
    other.place = nn.Parameter(torch.zeros(1), requires_grad=False)
    torchattacks.MIFGSM(other.eval(), eps=threat.eps, alpha=size, steps=STEPS)(x, y)
    assert_together(mine.points, other.points)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_mifgsm_as_foolbox_until_there_is_momentum(released, decay, monkeypatch):
    """Foolbox adds up the signs of gradients, the paper the gradients themselves, each divided by its l1 norm.

    Without momentum both are steps along signs. With it the first two points are the same; then where signs have been
    equal often counts there, and where slopes have been steep counts here.
    """
    pytest.importorskip("foolbox")
    model, x, y, threat = released
    mine, other, size = Asked(model), Asked(model.requires_grad_(False)), threat.eps / 4
    mifgsm(problem(mine, x, y, threat, len(x)), steps=STEPS, step_size=size, decay=decay)
    kind = "MomentumIterativeFastGradientMethod"
    by_foolbox(other, x, y, threat, size, None, monkeypatch, kind, momentum=decay)
    if decay == 0:
        assert_together(mine.points, other.points)
    else:
        far = torch.stack([apart(*points) for points in zip(mine.points, other.points)])  # (t, n)
        assert (far[:2] == 0).all()
        assert (far[-1] >= size).all()


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
