"""Our attacks against those of other libraries with the same random numbers, iterate by iterate.

What is in test_pgd.py and test_mifgsm.py about last iterates without a random start is not repeated here.
"""

import pytest
import torch
from doubles import COLOUR, ConvNet, Grid, classes, images, problem
from torch import nn

from robeval.attacks import registry
from robeval.attacks.mifgsm import mifgsm
from robeval.attacks.pgd import pgd
from robeval.ops.noise import Noise
from robeval.values.threat import ThreatModel

torchattacks = pytest.importorskip("torchattacks")
foolbox = pytest.importorskip("foolbox")

EPS, STEP, STEPS = 16 / 256, 4 / 256, 12
LINF, L2 = ThreatModel("linf", EPS), ThreatModel("l2", 0.5)
CATALOG = registry.catalog()


class Recorded(nn.Module):
    """Another model that keeps the images about whose gradient it is asked."""

    def __init__(self, model):
        super().__init__()
        self.model, self.asked = model, []
        self.eval().requires_grad_(False)

    def forward(self, x):
        if x.requires_grad:
            self.asked.append(x.detach().clone())
        return self.model(x)


def ask(model, x, y, threat, noise=Grid):
    return problem(model, x, y, threat, len(x), noise=noise)


def ours(attack, model, x, y, threat, noise=Grid, **given):
    """The points asked about, and the last."""
    recorded = Recorded(model)
    last = attack(ask(recorded, x, y, threat, noise), **given)
    return [*recorded.asked, last]


def by_foolbox(kind, model, x, y, threat, start=None, **given):
    recorded = Recorded(model)
    attack = kind(**given, random_start=start is not None)
    attack.get_random_start = lambda x0, eps: type(x0)(start)
    network = foolbox.PyTorchModel(recorded, bounds=(0, 1), device="cpu")
    last = attack.run(network, x, foolbox.Misclassification(y), epsilon=threat.eps)
    return [*recorded.asked, last]


def by_torchattacks(kind, model, x, y, **given):
    recorded = Recorded(model)
    recorded.place = nn.Parameter(torch.zeros(1), requires_grad=False)
    last = kind(recorded, **given)(x, y)
    return [*recorded.asked, last]


def apart(one, other):
    """How far two walks are from each other at each step."""
    assert len(one) == len(other) == STEPS + 1
    return [float((mine - theirs).abs().max()) for mine, theirs in zip(one, other)]


# ── PGD from the same random start ──


def test_pgd_linf_walks_as_foolbox_does(exact):
    model, x, y = exact
    start = ask(model, x, y, LINF).random_point()
    assert ((start < 0) | (start > 1)).any()
    mine = ours(pgd, model, x, y, LINF, steps=STEPS, step_size=STEP, clip_start=True)
    kind = foolbox.attacks.LinfProjectedGradientDescentAttack
    theirs = by_foolbox(kind, model, x, y, LINF, start, abs_stepsize=STEP, steps=STEPS)
    assert torch.equal(mine[0], start.clamp(0, 1))
    assert apart(mine, theirs) == [0.0] * (STEPS + 1)


def test_pgd_linf_walks_as_torchattacks_does(exact, monkeypatch):
    model, x, y = exact
    delta = ask(model, x, y, LINF).random_point() - x
    mine = ours(pgd, model, x, y, LINF, steps=STEPS, step_size=STEP, clip_start=True)
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda *_: delta)
    theirs = by_torchattacks(torchattacks.PGD, model, x, y, eps=EPS, alpha=STEP, steps=STEPS)
    assert apart(mine, theirs) == [0.0] * (STEPS + 1)


def test_pgd_l2_walks_as_foolbox_does(exact):
    model, x, y = exact
    start = ask(model, x, y, L2, Noise).random_point()
    mine = ours(pgd, model, x, y, L2, Noise, steps=STEPS, step_size=0.1, clip_start=True)
    kind = foolbox.attacks.L2ProjectedGradientDescentAttack
    theirs = by_foolbox(kind, model, x, y, L2, start, abs_stepsize=0.1, steps=STEPS)
    assert max(apart(mine, theirs)) < 1e-5
    assert (mine[0] - mine[-1]).abs().max() > 0.05


def test_pgd_l2_walks_as_torchattacks_does_from_a_point_of_ours(exact, monkeypatch):
    """Its own start has a radius uniform in [0, eps], which is no uniform point of the ball."""
    model, x, y = exact
    delta = ask(model, x, y, L2, Noise).random_point() - x
    share = delta.flatten(1).norm(dim=1)[:, None, None, None] / L2.eps
    assert share.min() > 0.9, "in many dimensions a uniform point is near the sphere"
    mine = ours(pgd, model, x, y, L2, Noise, steps=STEPS, step_size=0.1, clip_start=True)
    monkeypatch.setattr(torch.Tensor, "normal_", lambda *_: delta.clone())
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda *_: share)
    theirs = by_torchattacks(torchattacks.PGDL2, model, x, y, eps=0.5, alpha=0.1, steps=STEPS)
    assert max(apart(mine, theirs)) < 1e-5


def test_a_start_that_is_not_clipped_is_another_attack(exact):
    """TRADES and BAT take the first gradient outside of the pixel box; no library does."""
    model, x, y = exact
    start = ask(model, x, y, LINF).random_point()
    mine = ours(pgd, model, x, y, LINF, steps=STEPS, step_size=STEP)
    kind = foolbox.attacks.LinfProjectedGradientDescentAttack
    theirs = by_foolbox(kind, model, x, y, LINF, start, abs_stepsize=STEP, steps=STEPS)
    assert apart(mine, theirs)[0] > 0
    assert torch.equal(mine[0].clamp(0, 1), theirs[0])


# ── MI-FGSM ──


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_mifgsm_walks_as_torchattacks_does_while_no_gradient_is_zero(exact, decay):
    model, x, y = exact
    mine = ours(mifgsm, model, x, y, LINF, steps=STEPS, step_size=STEP, decay=decay)
    theirs = by_torchattacks(torchattacks.MIFGSM, model, x, y, eps=EPS, alpha=STEP, steps=STEPS, decay=decay)
    assert apart(mine, theirs) == [0.0] * (STEPS + 1)


@pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
def test_mifgsm_walks_as_foolbox_does_without_momentum(exact, threat):
    model, x, y = exact
    name = {"linf": "Linf", "l2": "L2"}[threat.norm]
    kind = getattr(foolbox.attacks, f"{name}MomentumIterativeFastGradientMethod")
    step = STEP if threat.norm == "linf" else 0.1
    mine = ours(mifgsm, model, x, y, threat, steps=STEPS, step_size=step, decay=0.0)
    theirs = by_foolbox(kind, model, x, y, threat, abs_stepsize=step, steps=STEPS, momentum=0.0)
    assert max(apart(mine, theirs)) < 1e-5


def test_mifgsm_and_foolbox_part_after_the_first_step_with_momentum(exact):
    """It adds up signs where the paper adds up l1-normalised gradients: see test_mifgsm.py for what that does."""
    model, x, y = exact
    kind = foolbox.attacks.LinfMomentumIterativeFastGradientMethod
    mine = ours(mifgsm, model, x, y, LINF, steps=STEPS, step_size=STEP)
    theirs = by_foolbox(kind, model, x, y, LINF, abs_stepsize=STEP, steps=STEPS)
    far = apart(mine, theirs)
    assert far[:2] == [0.0, 0.0]
    assert far[-1] >= STEP


# ── where a library is wrong ──


class Lowered(nn.Module):
    """The same classes from logits that are all below 0."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) - 100


def broken_by(use, model, x, y, steps=100):
    """What the attack returns, and which images it breaks."""
    rate = {"step_size": 0.01} if use.endswith("carlini_wagner") else {}
    found = CATALOG[use].function(problem(model, x, y, L2, len(x)), steps=steps, **rate)
    return found, classes(model, found) != y


def test_carlini_wagner_of_torchattacks_needs_positive_logits():
    """It masks the true class with 0 and so takes 0 for the best competitor where all logits are negative.

    Its loss is 0 then, and it stops at the image. What is added to all logits alike must change nothing.
    """
    model, x = ConvNet(COLOUR), images(6, COLOUR, 0.2, 0.8)
    y = classes(model, x)
    lowered = Lowered(model).eval()
    assert broken_by("torchattacks.carlini_wagner", model, x, y)[1].any()
    found, broken = broken_by("torchattacks.carlini_wagner", lowered, x, y)
    assert not broken.any()
    assert torch.equal(found, x)
    assert broken_by("foolbox.carlini_wagner", lowered, x, y)[1].all()


def test_carlini_wagner_of_torchattacks_never_moves_black_and_white_pixels():
    """arctanh(1) is infinite, and the tanh of it is flat: an image of black and white stays as it is."""
    model, x = ConvNet(COLOUR), images(6, COLOUR).round()
    y = classes(model, x)
    found, broken = broken_by("torchattacks.carlini_wagner", model, x, y)
    assert torch.equal(found, x)
    assert not broken.any()
    assert broken_by("foolbox.deepfool", model, x, y)[1].all()


class Light(nn.Module):
    """Class 1 where the mean of the pixels is above 0.6."""

    def forward(self, x):
        height = x.flatten(1).mean(dim=1) - 0.6
        return torch.stack([-height, height], dim=1)


def test_deepfool_of_torchattacks_never_arrives_where_pixels_are_clipped():
    """Each of its steps begins at the clipped image and is stretched by an overshoot of its own.

    Half of the pixels are white and cannot get lighter, so a step goes half as far as it should, and what is left of
    the way is halved each time. Foolbox stretches all of the way before it is clipped, which is enough soon.
    """
    x, y = torch.full((1, *COLOUR), 0.1), torch.tensor([0])
    x.view(-1)[::2] = 1.0
    assert not broken_by("torchattacks.deepfool", Light(), x, y, steps=25)[1].any()
    assert broken_by("foolbox.deepfool", Light(), x, y, steps=25)[1].all()


@pytest.mark.parametrize("n", [1, 16])
def test_hop_skip_jump_of_foolbox_looks_nearer_the_more_images_there_are(n):
    """It divides the random directions of all images by one norm, so they are sqrt(n) times too short."""
    x, seen = torch.full((n, *COLOUR), 0.5), []
    wanted = torch.full((n,), 0.1)

    eagerpy = pytest.importorskip("eagerpy")

    def lighter(points):
        seen.append(points.raw)
        return eagerpy.astensor(points.raw.flatten(1).mean(dim=1) > 0.5)

    attack = foolbox.attacks.HopSkipJumpAttack()
    attack.approximate_gradients(lighter, eagerpy.astensor(x), 20, eagerpy.astensor(wanted))
    reached = torch.stack([(points - x).flatten(1).norm(dim=1) for points in seen])
    assert len(seen) == 20
    assert reached.mean().item() == pytest.approx(0.1 / n**0.5, rel=0.05)


def test_pgd_of_both_leaves_the_ball_by_rounding():
    """The perturbation is clipped to the radius and then rounded when it is added; 2^-25 is enough for the judge."""
    model, x, threat = ConvNet(COLOUR).eval(), (images(8, COLOUR) * 255).round() / 255, ThreatModel("linf", 0.031)
    y = classes(model, x)
    kind = foolbox.attacks.LinfProjectedGradientDescentAttack
    walks = (
        by_foolbox(kind, model, x, y, threat, abs_stepsize=0.01, steps=STEPS),
        by_torchattacks(torchattacks.PGD, model, x, y, eps=0.031, alpha=0.01, steps=STEPS, random_start=False),
    )
    for walk in walks:
        excess = (walk[-1].double() - x.double()).abs().amax() - 0.031
        assert 0 < excess < 1e-7


# ── the adapter adds nothing of its own ──


def raw(model):
    """A model as the libraries want it: of one device, in evaluation mode."""
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_through_the_adapter_they_do_what_they_do_without(norm):
    model, x = raw(ConvNet(COLOUR)), images(10, COLOUR, 0.1, 0.9)
    y = classes(model, x)
    network, goal = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), foolbox.Misclassification(y)
    name = {"linf": "Linf", "l2": "L2"}[norm]
    fool = getattr(foolbox.attacks, f"{name}DeepFoolAttack")(steps=20)
    alone = {
        "foolbox.deepfool": fool.run(network, x, goal),
        "torchattacks.fab": torchattacks.FAB(model, norm=name, steps=5).attack_single_run(x, y),
    }
    if norm == "l2":
        alone |= {
            "torchattacks.deepfool": torchattacks.DeepFool(model, 20)(x, y),
            "torchattacks.carlini_wagner": torchattacks.CW(model, steps=20, lr=0.005)(x, y),
        }
    for use, theirs in alone.items():
        steps = 5 if use.endswith("fab") else 20
        found = CATALOG[use].function(problem(model, x, y, ThreatModel(norm, 0.1), 10), steps=steps)
        assert torch.equal(found, theirs), use
        assert not torch.equal(found, x), use


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_autoattack_is_the_package_itself(norm):
    """With the seed that the adapter has drawn, bit for bit but for the last rounding into the ball."""
    pytest.importorskip("pyautoattack")
    from pyautoattack.autopgd_base import APGDAttack

    model, x = raw(ConvNet(COLOUR)), images(10, COLOUR)
    y, threat = classes(model, x), ThreatModel(norm, {"linf": 0.05, "l2": 0.5, "l1": 3.0}[norm])
    name = {"linf": "Linf", "l2": "L2", "l1": "L1"}[norm]
    seed = int(2**24 * Noise(0, "test", 0, range(10)).uniform([1])[0])
    wide = norm == "l1"
    with torch.random.fork_rng(devices=()):
        alone = APGDAttack(model, 20, name, 1, threat.eps, seed, use_largereps=wide, device="cpu").perturb(x, y)
    found = CATALOG["autoattack.apgd"].function(problem(model, x, y, threat, 10), steps=20)
    assert (found - alone).abs().max() < 2e-6
    assert not torch.equal(found, x)
