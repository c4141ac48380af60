"""Which wrong classes are aimed at."""

import pytest
import torch
from doubles import COLOUR, ConvNet, classes, images, problem

from robeval.ops.targets import aim, choose, ranked
from robeval.values.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)
MODEL, X = ConvNet(COLOUR), images(200, COLOUR)
Y = classes(MODEL, X)


def test_wrong_classes_are_ranked_by_their_logit():
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 5.0, 5.0]])
    assert ranked(logits, torch.tensor([0, 2])).tolist() == [[2, 1, 3], [1, 3, 0]]


def test_every_wrong_class_is_there_once_even_if_logits_are_not_finite():
    logits = torch.full((3, 4), torch.nan)
    logits[1] = -torch.inf
    logits[2] = torch.tensor([torch.inf, 0, torch.nan, 1])
    for row, label in zip(ranked(logits, torch.tensor([2, 0, 1])).tolist(), (2, 0, 1)):
        assert sorted([*row, label]) == [0, 1, 2, 3]


@pytest.mark.parametrize("rule", ["most_confusing", "least_likely"])
def test_most_confusing_and_least_likely(rule):
    pair = aim(problem(MODEL, X, Y, LINF), rule)
    logits = MODEL(X).scatter(1, Y[:, None], -torch.inf if rule == "most_confusing" else torch.inf)
    wanted = logits.argmax(dim=1) if rule == "most_confusing" else logits.argmin(dim=1)
    assert torch.equal(pair, torch.stack([Y, wanted], dim=1))


def test_random_targets_are_wrong_uniform_and_belong_to_samples():
    pair = aim(problem(MODEL, X, Y, LINF), "random")
    assert (pair[:, 0] == Y).all()
    assert (pair[:, 1] != Y).all()
    steps = (pair[:, 1] - pair[:, 0]) % 10
    assert steps.bincount(minlength=10)[1:].min() > 8, "about 22 of 200 each"
    assert torch.equal(aim(problem(MODEL, X[:7], Y[:7], LINF), "random"), pair[:7])
    assert not torch.equal(aim(problem(MODEL, X, Y, LINF, seed=1), "random"), pair)


def test_two_classes_leave_no_choice():
    model = ConvNet(COLOUR, 2)
    y = classes(model, X)
    for rule in ("most_confusing", "least_likely", "random"):
        assert torch.equal(aim(problem(model, X, y, LINF), rule)[:, 1], 1 - y)


def test_no_target():
    given = problem(MODEL, X, Y, LINF)
    assert aim(given, "none") is None
    assert given.forwards.sum() == 0


@pytest.mark.parametrize("rule", ["most_confusing", "least_likely", "random"])
def test_who_has_the_clean_logits_needs_no_pass(rule):
    given = problem(MODEL, X, Y, LINF)
    chosen = choose(given, rule, MODEL(X))
    assert torch.equal(chosen, aim(problem(MODEL, X, Y, LINF), rule)[:, 1])
    assert given.forwards.sum() == 0
