"""TRADES."""

import pytest
import torch
import torch.nn.functional as F
from doubles import ConvNet
from lessons import (
    BALLS,
    SHAPE,
    STEP_SIZE,
    STEPS,
    Seen,
    agree,
    agree_with_slope,
    attacked,
    batch,
    by_differences,
    kl,
    noise,
    slope_of,
    smooth_net,
)

from robeval.train.methods.trades import trades

HOW = {"steps": STEPS, "step_size": STEP_SIZE, "beta": 6.0}


def inner(net, x, threat):
    """x' of Algorithm 1."""
    clean = torch.softmax(net(x), dim=1).detach()
    start = x + 0.001 * noise().normal(SHAPE)
    return attacked(net, start, x, threat, lambda logits: kl(clean, torch.softmax(logits, dim=1)).sum())


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
def test_it_is_equation_5_with_gradient_through_both_sides(threat):
    net = smooth_net()
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    adv = inner(net, x, threat)
    assert (adv - x).abs().amax() > 0.02
    p, q = torch.softmax(net(x), dim=1), torch.softmax(net(adv), dim=1)
    both = F.nll_loss(p.log(), y) + 6 * kl(p, q).mean()
    agree_with_slope(trades(problem, net, **HOW), both, net, threat)
    one = F.nll_loss(p.log(), y) + 6 * kl(p.detach(), q).mean()
    agree_with_slope(trades(batch(net, threat), net, **HOW, detach_clean=True), one, net, threat)
    assert not torch.allclose(slope_of(one, net), slope_of(both, net), rtol=1e-2)


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: trades(batch(net), net, **HOW), net)


def test_without_beta_it_is_the_natural_loss():
    net = smooth_net()
    problem = batch(net)
    agree(trades(problem, net, steps=1, step_size=0.1, beta=0), F.cross_entropy(net(problem.x), problem.y))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_it_attacks_in_evaluation_mode_unless_told_and_learns_from_three_passes(mode):
    seen = Seen(ConvNet(shape=SHAPE, k=3)).train()
    problem = batch(seen)
    trades(problem, seen, steps=2, step_size=STEP_SIZE, **({"attack_mode": mode} if mode == "train" else {}))
    attack = [(mode, "clean"), (mode, "changed"), (mode, "changed")]
    assert seen.told(problem.x) == [*attack, ("train", "clean"), ("train", "changed"), ("train", "clean")]
