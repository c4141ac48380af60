"""MultiTargeted: closed forms, a loop in plain torch, and its two readings of "broken"."""

import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, ConvNet, Linear, classes, images, problem
from torch import nn

from robeval.attacks import registry
from robeval.attacks.multi_targeted import multi_targeted
from robeval.attacks.pgd import pgd
from robeval.errors import UserError
from robeval.ops.losses import difference, towards
from robeval.ops.targets import ranked, with_true
from robeval.values.threat import ThreatModel

LINF, L2 = ThreatModel("linf", 32 / 256), ThreatModel("l2", 0.4)
STEP = 4 / 256
FIT = registry.catalog()["multi_targeted"].fit

every_ball = pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])


def logits_of(model, x):
    with torch.no_grad():
        return model(x)


def walk(model, x, y, eps, steps, step, value):
    """PGD in l-inf from the image itself, on a value of the logits; no rounding where all are multiples of 1/256."""
    adv = x
    for _ in range(steps):
        adv = adv.detach().requires_grad_()
        (slope,) = torch.autograd.grad(value(model(adv)).sum(), adv)
        adv = (x + (adv.detach() + step * slope.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return adv


# ── gowal ──


def uneven():
    """A linear model in which the second most likely class is often not the nearest."""
    model = Linear(COLOUR, 10, scale=0.5)
    model.weight.data[::2] *= 0.2
    return model


@pytest.mark.parametrize("model", [uneven(), ConvNet(COLOUR, kind=nn.Tanh)], ids=["linear", "convnet"])
def test_the_first_target_that_breaks_an_image_is_the_answer(model):
    """Gowal et al.: for each wrong class t climb z_t - z_y; here all the classes in order, and then the choice."""
    x = (images(32, COLOUR) * 256).round() / 256
    y = classes(model, x)
    eps, step = 3 / 256, 1 / 256
    threat = ThreatModel("linf", eps)
    adv = multi_targeted(problem(model, x, y, threat), steps=12, step_size=step, random_start=False)
    order = ranked(logits_of(model, x), y)
    ends = [
        walk(model, x, y, eps, 12, step, lambda z, t=t: z.gather(1, t[:, None]) - z.gather(1, y[:, None]))
        for t in order.unbind(dim=1)
    ]
    logits = torch.stack([logits_of(model, end) for end in ends])  # (t, n, k)
    wrong = logits.argmax(dim=2) != y
    lead = logits.scatter(2, y.expand(9, -1)[..., None], -torch.inf).amax(dim=2) - logits[:, range(32), y]
    assert 4 < wrong.any(dim=0).sum() < 28
    late = wrong.any(dim=0) & ~wrong[0]
    assert late.any() or isinstance(model, ConvNet), "some break only on the way to a later class"
    for row in range(32):
        place = wrong[:, row].int().argmax() if wrong[:, row].any() else lead[:, row].argmax()
        assert torch.equal(adv[row], ends[place][row])


@every_ball
def test_a_broken_image_costs_nothing_more(threat):
    model, x = ConvNet(COLOUR), images(32, COLOUR)
    y = classes(model, x)
    asked = problem(model, x, y, threat)
    adv = multi_targeted(asked, steps=6)
    runs = asked.backwards / 6
    assert torch.equal(runs, runs.round())
    assert torch.equal(asked.forwards, 1 + 7 * runs.long()), "one for the clean logits, one to look at each end"
    broken = classes(model, adv) != y
    assert 4 < broken.sum() < 32
    assert (runs[~broken] == 9).all()
    assert (runs[broken] < 9).any()


@every_ball
def test_it_breaks_a_linear_model_exactly_where_the_formula_says(threat):
    model, x = Linear(COLOUR, 5, seed=2, scale=0.5), images(40, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    margin = model.margin(x, y, threat.norm)
    assert margin.max() < 0.4
    for eps in margin[::10].tolist():
        for radius in (eps - 1e-4, eps + 1e-4):
            asked = problem(model, x, y, ThreatModel(threat.norm, radius))
            adv = multi_targeted(asked, steps=80)
            wrong, clear = classes(model, adv) != y, (margin - radius).abs() > 5e-5
            assert torch.equal(wrong[clear], (margin < radius)[clear])


@every_ball
def test_with_two_classes_it_is_pgd_on_the_margin(threat):
    model, x = ConvNet(COLOUR, 2), images(16, COLOUR)
    y = classes(model, x)
    given = {"steps": 8, "step_size": threat.eps / 10}
    mine = multi_targeted(problem(model, x, y, threat), steps=8)
    assert torch.equal(mine, pgd(problem(model, x, y, threat), loss="margin", clip_start=True, **given))


# ── released ──


def test_released_keeps_the_end_of_the_most_likely_target(exact):
    """Yang et al.'s code: for each class j climb log p_j; only the end where p_j is largest counts."""
    model, x, y = exact
    given = {"steps": 10, "step_size": STEP, "random_start": False}
    adv = multi_targeted(problem(model, x, y, LINF), rule="released", **given)
    ends, shares = [], []
    for j in range(10):
        aim = torch.full_like(y, j)
        end = walk(model, x, y, LINF.eps, 10, STEP, lambda z, aim=aim: -F.cross_entropy(z, aim, reduction="none"))
        share = logits_of(model, end).softmax(dim=1)[:, j] - logits_of(model, x).softmax(dim=1)[range(32), y]
        ends.append(end)
        shares.append(share.where(y != j, -torch.inf))
    best = torch.stack(shares).argmax(dim=0)
    assert len(best.unique()) > 2
    assert torch.equal(adv, torch.stack(ends)[best, range(32)])


def test_released_breaks_no_more_than_any_target_does():
    """One candidate of nine: an image that is broken towards a class of small p_t stays."""
    model, x = ConvNet(COLOUR), images(32, COLOUR)
    y = classes(model, x)
    for eps in (0.02, 0.04, 0.06):
        broken = {
            rule: classes(model, multi_targeted(problem(model, x, y, ThreatModel("linf", eps)), rule=rule)) != y
            for rule in ("gowal", "released")
        }
        assert broken["released"].sum() <= broken["gowal"].sum()
    assert broken["released"].sum() > 8


def test_released_costs_every_target_whatever_is_broken():
    model, x = ConvNet(COLOUR), images(16, COLOUR)
    asked = problem(model, x, classes(model, x), LINF)
    multi_targeted(asked, steps=4, rule="released")
    assert set(asked.backwards.tolist()) == {9 * 4}
    assert set(asked.forwards.tolist()) == {1 + 9 * 5}


# ── targets ──


@pytest.mark.parametrize(("rule", "climb"), [("gowal", difference), ("released", towards)])
def test_targets_are_the_wrong_classes_in_the_order_of_their_clean_logits(rule, climb):
    model, x = ConvNet(COLOUR), images(24, COLOUR)
    y = classes(model, x)
    order, visited = ranked(logits_of(model, x), y), torch.zeros_like(y)

    def watch(problem_, rows, points, logits, values):
        if values is not None:
            aims = order[rows, visited[rows] // 3]
            assert torch.allclose(values, climb(logits, with_true(y[rows], aims)))
            visited[rows] += 1

    multi_targeted(problem(model, x, y, ThreatModel("linf", 1e-3), watch=watch), steps=3, targets=4, rule=rule)
    assert visited.max() == 12


@pytest.mark.parametrize(("k", "given", "targets"), [(2, None, 1), (10, None, 9), (100, None, 99), (10, 3, 3)])
def test_the_number_of_targets_is_recorded(k, given, targets):
    assert FIT({"targets": given}, k) == {"targets": targets}


def test_more_targets_than_wrong_classes_are_refused():
    with pytest.raises(UserError, match=r"'targets' is 5, expected at most 2.*\n.*2 or fewer"):
        FIT({"targets": 5}, 3)


def test_the_step_is_a_tenth_of_the_radius():
    model, x = ConvNet(COLOUR), images(8, COLOUR)
    y = classes(model, x)
    one, other = problem(model, x, y, L2), problem(model, x, y, L2)
    assert torch.equal(multi_targeted(one, steps=5), multi_targeted(other, steps=5, step_size=0.04))
