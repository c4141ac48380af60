"""Targeted APGD: which classes, in which order, at what cost, and the points of the authors' released code."""

from itertools import pairwise

import pytest
import torch
from doubles import COLOUR, ConvNet, Linear, classes, images, problem
from official import Recorder, apart, ours, theirs
from torch import nn

from robeval.attacks import registry
from robeval.attacks.apgd_targeted import apgd_targeted
from robeval.errors import UserError
from robeval.ops.losses import difference, targeted_dlr
from robeval.ops.targets import ranked, with_true
from robeval.values.threat import ThreatModel

BALLS = [ThreatModel("linf", 0.05), ThreatModel("l2", 0.4), ThreatModel("l1", 2.0)]
FIT = registry.catalog()["apgd_targeted"].fit
DEFAULTS = {"steps": 100, "targets": None, "loss": "auto", "rho": 0.75}

every_ball = pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)


def made(k=10, n=32, kind=nn.ReLU):
    model, x = ConvNet(COLOUR, k, kind=kind), images(n, COLOUR)
    return model, x, classes(model, x)


def logits_of(model, x):
    with torch.no_grad():
        return model(x)


# ── what is aimed at ──


@pytest.mark.parametrize(
    ("k", "targets", "loss"),
    [(2, 1, "difference"), (3, 2, "difference"), (4, 3, "dlr"), (10, 9, "dlr"), (1000, 9, "dlr")],
)
def test_targets_and_loss_are_recorded_as_what_they_are(k, targets, loss):
    assert FIT(DEFAULTS, k) == DEFAULTS | {"targets": targets, "loss": loss}


@pytest.mark.parametrize("k", [2, 3, 4])
def test_few_classes(k):
    model, x = Linear(COLOUR, k, seed=1), images(32, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    margin = model.margin(x, y, "linf")
    eps = margin.median().item() + 1e-5
    given = FIT(DEFAULTS | {"steps": 30}, k)
    threat = ThreatModel("linf", eps)
    adv, spelt_out = (apgd_targeted(problem(model, x, y, threat), **each) for each in ({"steps": 30}, given))
    assert torch.equal(adv, spelt_out)
    assert torch.equal(classes(model, adv) != y, margin < eps)


def test_more_targets_than_wrong_classes_are_refused():
    with pytest.raises(UserError, match=r"'targets' is 10, expected at most 9.*\n.*9 or fewer"):
        FIT(DEFAULTS | {"targets": 10}, 10)
    assert FIT(DEFAULTS | {"targets": 9}, 10)["targets"] == 9


def test_targeted_dlr_of_three_classes_is_refused():
    with pytest.raises(UserError, match=r"loss 'dlr' needs 4 classes, but there are 3\n.*difference"):
        FIT(DEFAULTS | {"loss": "dlr"}, 3)


@pytest.mark.parametrize("loss", ["dlr", "difference"])
def test_targets_are_the_wrong_classes_in_the_order_of_their_clean_logits(loss):
    model, x, y = made()
    order = ranked(logits_of(model, x), y)
    visited = torch.zeros_like(y)
    climb = {"dlr": targeted_dlr, "difference": difference}[loss]

    def watch(problem_, rows, points, logits, values):
        if values is not None:
            aims = order[rows, visited[rows] // 6]
            assert torch.allclose(values, climb(logits, with_true(y[rows], aims)))
            visited[rows] += 1

    apgd_targeted(problem(model, x, y, ThreatModel("linf", 0.02), watch=watch), steps=5, targets=7, loss=loss)
    assert set(visited.tolist()) >= {6, 42}


# ── when it stops ──


@every_ball
def test_a_broken_image_costs_nothing_more(threat):
    model, x, y = made()
    asked = problem(model, x, y, threat)
    steps, starts = 10, 3 if threat.norm == "l1" else 1
    adv = apgd_targeted(asked, steps=steps, targets=4)
    broken = classes(model, adv) != y
    runs = asked.backwards / (steps + starts)
    assert torch.equal(runs, runs.round())
    assert torch.equal(asked.forwards, asked.backwards + 1), "one for the clean logits"
    assert 0 < (runs < 4).sum() < 32
    assert broken[runs < 4].all()
    assert (runs[~broken] == 4).all()


def test_every_target_has_its_own_start():
    model, x, y = made(n=8)
    recorder = Recorder(model)
    apgd_targeted(problem(recorder, x, y, ThreatModel("linf", 1e-3), size=8), steps=5, targets=3)
    starts = recorder.points[1::6]
    assert len(recorder.points) == 1 + 3 * 6
    assert all((one != other).flatten(1).any(dim=1).all() for one, other in pairwise(starts))


def test_the_answer_is_the_last_misclassified_point_of_the_first_run_that_has_one_or_that_of_highest_loss():
    model, x, y = made()
    steps, targets = 20, 4
    threat, visits = ThreatModel("linf", 0.02), [[] for _ in range(32)]

    def watch(problem_, rows, points, logits, values):
        for row, point in zip(rows.tolist(), points if values is not None else ()):
            visits[row].append(point)

    adv = apgd_targeted(problem(model, x, y, threat, watch=watch), steps=steps, targets=targets)
    order = ranked(logits_of(model, x), y)
    wrong = classes(model, adv) != y
    assert 8 < wrong.sum() < 28
    for row in range(32):
        points = torch.stack(visits[row])
        hits = (classes(model, points) != y[row]).nonzero()
        if wrong[row]:
            assert hits.min() >= len(points) - (steps + 1), "no run after the first with a hit"
            assert torch.equal(adv[row], points[hits.max()])
        else:
            aims = order[row, :targets].repeat_interleave(steps + 1)
            value = targeted_dlr(logits_of(model, points), with_true(y[row].expand(len(points)), aims))
            assert torch.equal(adv[row], points[value.argmax()])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_breaks_a_linear_model_of_five_classes_exactly_where_the_formula_says(norm):
    """The nearest class is one of four; the numerator of the loss is the distance to its boundary."""
    model, x = Linear(COLOUR, 5, seed=2, scale=0.5), images(40, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    margin = model.margin(x, y, norm)
    assert margin.max() < 0.4
    for eps in margin[::10].tolist():
        for radius in (eps - 1e-5, eps + 1e-5):
            adv = apgd_targeted(problem(model, x, y, ThreatModel(norm, radius)), loss="difference", steps=50)
            wrong, clear = classes(model, adv) != y, (margin - radius).abs() > 5e-6
            assert torch.equal(wrong[clear], (margin < radius)[clear])


# ── the authors' code ──


@pytest.mark.parametrize("kind", [nn.Tanh, nn.ReLU], ids=["tanh", "relu"])
def test_linf_is_the_authors_code_bit_for_bit_where_nothing_is_rounded(kind):
    model = ConvNet(COLOUR, kind=kind)
    x = (images(32, COLOUR) * 256).round() / 256
    y = classes(model, x)
    threat = ThreatModel("linf", 8 / 256)
    mine, _ = ours(apgd_targeted, model, x, y, threat, steps=50)
    other, _ = theirs("APGDAttack_targeted", model, x, y, threat, n_iter=50)
    broken = classes(model, other) != y
    assert 8 < broken.sum() < 32
    assert torch.equal(classes(model, mine) != y, broken)
    assert torch.equal(mine[broken], other[broken])


@every_ball
@pytest.mark.parametrize("kind", [nn.Tanh, nn.ReLU], ids=["tanh", "relu"])
def test_the_same_points_break_as_in_the_authors_code(kind, threat):
    model, x, y = made(n=64, kind=kind)
    mine, _ = ours(apgd_targeted, model, x, y, threat, steps=50, targets=5, parity="autoattack")
    other, _ = theirs("APGDAttack_targeted", model, x, y, threat, n_iter=50, n_target_classes=5)
    broken = classes(model, other) != y
    assert 20 < broken.sum() < 64
    assert ((classes(model, mine) != y) != broken).sum() <= 1
    assert (apart(mine, other)[broken] < 1e-3).sum() >= 0.9 * broken.sum()


def test_the_trades_network_is_broken_by_the_same_points(trades_exact):
    model, x, y = trades_exact[0], trades_exact[1][:30], trades_exact[2][:30]
    threat = ThreatModel("linf", 84 / 256)
    mine, _ = ours(apgd_targeted, model, x, y, threat, steps=15, targets=3)
    other, _ = theirs("APGDAttack_targeted", model, x, y, threat, n_iter=15, n_target_classes=3)
    broken = classes(model, other) != y
    assert 3 < broken.sum() < 30
    assert torch.equal(classes(model, mine) != y, broken)
    assert (apart(mine, other)[broken] == 0).sum() >= broken.sum() - 1
