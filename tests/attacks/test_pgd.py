"""PGD against hand-written loops, torchattacks and foolbox, iterate by iterate."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, ConvNet, classes, images, problem

from robeval.attacks.pgd import pgd
from robeval.ops import geometry
from robeval.values.threat import ThreatModel

EPS, STEP = 16 / 256, 4 / 256
LINF, L2 = ThreatModel("linf", EPS), ThreatModel("l2", 0.5)
STEPS = (1, 2, 5, 20)  # the last iterates of shorter runs are the iterates of the longest


def slope_of(model, x, y, loss):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(model(x), y), x)[0]


def entropy(logits, y):
    return F.cross_entropy(logits, y, reduction="sum")


def madry_cw(logits, y):
    """mnist_challenge and cifar10_challenge, pgd_attack.py: maximise -relu(z_y - max_{j != y} z_j + 50)."""
    mask = F.one_hot(y, logits.shape[1])
    correct = (mask * logits).sum(dim=1)
    wrong = ((1 - mask) * logits - 1e4 * mask).amax(dim=1)
    return -F.relu(correct - wrong + 50).sum()


def trades_loop(model, x, y, start, steps, step, eps, loss=entropy):
    """pgd_attack_trades.py, `_pgd_whitebox`: step, clip the perturbation, clip the pixels."""
    adv = start
    for _ in range(steps):
        adv = adv.detach() + step * slope_of(model, adv, y, loss).sign()
        adv = torch.clamp(torch.clamp(adv - x, -eps, eps) + x, 0.0, 1.0)
    return adv


def numpy_l2_loop(model, x, y, start, steps, step, eps):
    """In numpy float64, but for the gradient."""
    centre, adv = x.double().numpy(), start.double().numpy()
    for _ in range(steps):
        slope = slope_of(model, torch.from_numpy(adv).float(), y, entropy).double().numpy()
        adv = adv + step * slope / np.maximum(np.sqrt((slope**2).sum(axis=(1, 2, 3), keepdims=True)), 1e-300)
        length = np.sqrt(((adv - centre) ** 2).sum(axis=(1, 2, 3), keepdims=True))
        adv = np.clip(centre + (adv - centre) * np.minimum(1, eps / np.maximum(length, 1e-300)), 0, 1)
    return adv


# ── loops written by hand ──


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(
    ("given", "loss"), [({}, entropy), ({"loss": "margin", "kappa": 50.0}, madry_cw)], ids=["ce", "cw"]
)
def test_linf_is_the_loop_of_the_papers(exact, steps, given, loss):
    model, x, y = exact
    adv = pgd(problem(model, x, y, LINF), steps=steps, step_size=STEP, random_start=False, **given)
    assert torch.equal(adv, trades_loop(model, x, y, x, steps, STEP, EPS, loss))
    assert not torch.equal(adv, x)


def test_the_released_model_gives_the_same_images(trades_exact):
    model, x, y = trades_exact
    eps, step = 77 / 256, 3 / 256
    for given, loss in (({}, entropy), ({"loss": "margin", "kappa": 50.0}, madry_cw)):
        asked = problem(model, x, y, ThreatModel("linf", eps), size=64)
        adv = pgd(asked, steps=10, step_size=step, random_start=False, **given)
        assert torch.equal(adv, trades_loop(model, x, y, x, 10, step, eps, loss))


def test_the_released_model_under_its_own_protocol(trades):
    """Radius 0.3 and step 0.01 are no float32 numbers: a pixel may turn where a slope is nearly 0."""
    model, x, y = (each[:20] if torch.is_tensor(each) else each for each in trades)
    adv = pgd(problem(model, x, y, ThreatModel("linf", 0.3), size=20), steps=40, step_size=0.01, random_start=False)
    theirs = trades_loop(model, x, y, x, 40, 0.01, 0.3)
    assert ((adv - theirs).abs() > 1e-5).float().mean() < 2e-3
    assert torch.equal(classes(model, adv), classes(model, theirs))


@pytest.mark.parametrize("steps", STEPS)
def test_l2_is_the_loop_in_float64(exact, steps):
    model, x, y = exact
    adv = pgd(problem(model, x, y, L2), steps=steps, step_size=0.1, random_start=False)
    assert np.abs(adv.numpy() - numpy_l2_loop(model, x, y, x, steps, 0.1, 0.5)).max() < 1e-5


@pytest.mark.parametrize("clip", [False, True])
def test_the_random_start_is_clipped_only_if_asked(exact, clip):
    """TRADES and BAT take the first gradient outside of the pixel box, Madry and Yang do not."""
    model, x, y = exact
    start = problem(model, x, y, LINF).random_point()
    assert ((start < 0) | (start > 1)).any()
    start = start.clamp(0, 1) if clip else start
    adv = pgd(problem(model, x, y, LINF), steps=3, step_size=STEP, clip_start=clip)
    assert ((adv - trades_loop(model, x, y, start, 3, STEP, EPS)).abs() < 1e-6).float().mean() > 0.999
    start = problem(model, x, y, L2).random_point()
    start = start.clamp(0, 1) if clip else start
    adv = pgd(problem(model, x, y, L2), steps=3, step_size=0.1, clip_start=clip)
    assert np.abs(adv.numpy() - numpy_l2_loop(model, x, y, start, 3, 0.1, 0.5)).max() < 1e-5


@pytest.mark.parametrize("threat", [LINF, L2])
def test_the_random_start_may_be_on_the_sphere(exact, threat):
    """Step by step the same as from the ball, but from a point whose distance is the radius (float32 rounds it)."""
    model, x, y = exact
    start = problem(model, x, y, threat).random_point(sphere=True)
    length = torch.linalg.vector_norm((start.double() - x.double()).flatten(1), float(threat.norm[1:]), dim=1)
    assert torch.allclose(length, torch.full_like(length, threat.eps), rtol=1e-5)
    inner = problem(model, x, y, threat).random_point()
    assert not torch.equal(start, inner)
    adv = pgd(problem(model, x, y, threat), steps=3, step_size=0.01, start="sphere", clip_start=True)
    loop = trades_loop if threat is LINF else numpy_l2_loop
    theirs = torch.as_tensor(loop(model, x, y, start.clamp(0, 1), 3, 0.01, threat.eps)).float()
    assert ((adv - theirs).abs() < 1e-5).float().mean() > 0.999


# ── other libraries ──


@pytest.mark.parametrize("steps", STEPS)
def test_equals_torchattacks(exact, steps):
    torchattacks = pytest.importorskip("torchattacks")
    model, x, y = exact
    theirs = torchattacks.PGD(model, eps=EPS, alpha=STEP, steps=steps, random_start=False)(x, y)
    assert torch.equal(pgd(problem(model, x, y, LINF), steps=steps, step_size=STEP, random_start=False), theirs)
    theirs = torchattacks.PGDL2(model, eps=0.5, alpha=0.1, steps=steps, random_start=False)(x, y)
    ours = pgd(problem(model, x, y, L2), steps=steps, step_size=0.1, random_start=False)
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("steps", STEPS)
def test_equals_foolbox(exact, steps):
    foolbox = pytest.importorskip("foolbox")
    model, x, y = exact
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
    attack = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=STEP, steps=steps, random_start=False)
    _, theirs, _ = attack(wrapped, x, y, epsilons=EPS)
    assert torch.equal(pgd(problem(model, x, y, LINF), steps=steps, step_size=STEP, random_start=False), theirs)
    attack = foolbox.attacks.L2ProjectedGradientDescentAttack(rel_stepsize=0.2, steps=steps, random_start=False)
    _, theirs, _ = attack(wrapped, x, y, epsilons=0.5)
    ours = pgd(problem(model, x, y, L2), steps=steps, step_size=0.1, random_start=False)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_equals_both_on_the_released_model(trades_exact):
    torchattacks, foolbox = pytest.importorskip("torchattacks"), pytest.importorskip("foolbox")
    model, x, y = trades_exact
    eps, step = 77 / 256, 8 / 256
    asked = problem(model, x, y, ThreatModel("linf", eps), size=64)
    ours = pgd(asked, steps=10, step_size=step, random_start=False)
    assert torch.equal(ours, torchattacks.PGD(model, eps=eps, alpha=step, steps=10, random_start=False)(x, y))
    attack = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=step, steps=10, random_start=False)
    assert torch.equal(ours, attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=eps)[1])


def test_torchattacks_leaves_the_ball_by_rounding_and_we_do_not():
    """Grey levels in 255ths and radius 0.031: the perturbation that is clipped is rounded when it is added back."""
    torchattacks = pytest.importorskip("torchattacks")
    model, x = ConvNet(), (images(64) * 255).round() / 255
    y, threat = classes(model, x), ThreatModel("linf", 0.031)
    theirs = torchattacks.PGD(model, eps=0.031, alpha=0.003, steps=20, random_start=False)(x, y)
    ours = pgd(problem(model, x, y, threat), steps=20, step_size=0.003, random_start=False)
    assert not geometry.inside(theirs, x, threat).any()
    assert geometry.inside(ours, x, threat).all()


# ── what is special about it ──


def test_costs_one_forward_and_one_backward_a_step(exact):
    for threat in (LINF, L2):
        asked = problem(*exact, threat)
        pgd(asked, steps=7, step_size=STEP)
        assert set(asked.forwards.tolist()) == set(asked.backwards.tolist()) == {7}


def test_without_kappa_the_margin_has_no_hinge(exact):
    """With kappa 0 the loss is flat once the image is broken, without kappa it is climbed further."""
    model, x, y = exact
    given = {"steps": 20, "step_size": STEP, "loss": "margin", "random_start": False}

    def lead(adv):
        with torch.no_grad():
            logits = model(adv)
        return (logits.scatter(1, y[:, None], -torch.inf).amax(1) - logits.gather(1, y[:, None]).squeeze(1)).mean()

    threat = ThreatModel("linf", 64 / 256)
    free, hinged = (lead(pgd(problem(model, x, y, threat), **given, kappa=kappa)) for kappa in (None, 0.0))
    assert free > hinged + 0.1


def test_restarts_begin_elsewhere(exact):
    model, x, y = exact
    one, other = (pgd(problem(model, x, y, LINF, seed=seed), steps=1, step_size=1e-6) for seed in (0, 1))
    assert ((one - other).abs() > 1e-3).float().mean() > 0.9


# ── targets ──


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
@pytest.mark.parametrize("target", ["most_confusing", "least_likely"])
def test_targeted_steps_are_those_of_plain_torch(loss, target):
    model, x = ConvNet(COLOUR), images(16, COLOUR)
    y = classes(model, x)
    order = model(x).detach().scatter(1, y[:, None], -torch.inf).sort(dim=1, descending=True).indices[:, :9]
    wanted = order[:, 0 if target == "most_confusing" else -1]

    def climbed(z):
        aim, true = (z.gather(1, each[:, None]).squeeze(1) for each in (wanted, y))
        if loss == "ce":
            return aim - z.logsumexp(dim=1)
        if loss == "margin":
            return aim - z.scatter(1, wanted[:, None], -torch.inf).amax(dim=1)
        ranked = z.sort(dim=1, descending=True).values
        return (aim - true) / (ranked[:, 0] - (ranked[:, 2] + ranked[:, 3]) / 2 + 1e-12)

    adv = x
    for _ in range(5):
        adv = adv.detach().requires_grad_()
        (slope,) = torch.autograd.grad(climbed(model(adv)).sum(), adv)
        adv = torch.clamp(adv.detach() + 0.02 * slope.sign(), x - 0.06, x + 0.06).clamp(0, 1)
    given = problem(model, x, y, ThreatModel("linf", 0.06), 16)
    found = pgd(given, steps=5, step_size=0.02, loss=loss, target=target, random_start=False)
    assert torch.allclose(found, adv, atol=1e-6)
    assert given.forwards.tolist() == 16 * [6]


def test_a_target_near_by_is_reached_sooner_than_a_far_one():
    model, x = ConvNet(COLOUR), images(64, COLOUR)
    y = classes(model, x)

    def broken(target):
        given = problem(model, x, y, ThreatModel("linf", 0.05), 32)
        return (classes(model, pgd(given, steps=10, step_size=0.01, target=target, loss="margin")) != y).sum()

    assert broken("most_confusing") > broken("random") > broken("least_likely")
