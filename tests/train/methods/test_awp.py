"""Adversarial weight perturbation on top of TRADES."""

import copy

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
    course,
    kl,
    noise,
    slope_of,
    smooth_net,
)
from torch import nn

from robeval.train.methods.awp import awp
from robeval.train.methods.trades import trades

HOW = {"steps": STEPS, "step_size": STEP_SIZE, "beta": 3.0}


def risk(net, x, adv, y):
    p, q = torch.softmax(net(x), dim=1), torch.softmax(net(adv), dim=1)
    return F.nll_loss(p.log(), y) + 3 * kl(p, q).mean()


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
def test_it_is_the_loss_and_the_slope_of_trades_at_the_perturbed_weights(threat):
    net, gamma = smooth_net(), 0.05
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    clean = torch.softmax(net(x), dim=1).detach()
    start = x + 0.001 * noise().normal(SHAPE)
    adv = attacked(net, start, x, threat, lambda logits: kl(clean, torch.softmax(logits, dim=1)).sum())
    moved = copy.deepcopy(net)
    slopes = torch.autograd.grad(risk(net, x, adv, y), list(net.parameters()))
    for weight, slope in zip(moved.parameters(), slopes):
        if weight.ndim > 1:
            weight.data += gamma * weight.data.norm() / slope.norm() * slope
    loss, there = awp(problem, net, course(10), **HOW, gamma=gamma), risk(moved, x, adv, y)
    agree(loss, there, threat)
    agree(slope_of(loss, net), slope_of(there, moved), threat)
    assert loss > risk(net, x, adv, y)


@pytest.mark.parametrize(("epoch", "gamma"), [(9, 0.05), (10, 0.0)])
def test_before_its_first_epoch_and_without_gamma_it_is_trades(epoch, gamma):
    net = smooth_net()
    loss = awp(batch(net), net, course(epoch), **HOW, gamma=gamma)
    agree_with_slope(loss, trades(batch(net), net, **HOW), net)
    assert awp(batch(net), net, course(10), **HOW, gamma=0.05) > loss


def test_the_first_epoch_can_be_set():
    net = smooth_net()
    at_once = awp(batch(net), net, course(1), **HOW, first_epoch=1)
    agree_with_slope(at_once, awp(batch(net), net, course(10), **HOW), net)


def test_the_weights_are_where_they_were():
    net = smooth_net()
    before = copy.deepcopy(net.state_dict())
    awp(batch(net), net, course(10), **HOW, gamma=0.5).backward()
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, before[name])
    assert net[1].weight.grad.any()


class Normed(nn.Module):
    """BatchNorm on the images themselves, so that its averages tell what it has seen."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.net = smooth_net().float()

    def forward(self, x):
        return self.net(self.norm(x))


def test_the_averages_of_batch_norm_see_three_passes_only():
    """x' and twice x, in training mode; not those that the perturbation of the weights is made from."""
    net = Normed().train()
    seen = Seen(net).train()
    problem = batch(seen)
    awp(problem, seen, course(10), **HOW)
    assert net.norm.num_batches_tracked == 3
    adv = seen.calls[-3][1]
    mean = torch.zeros(1)
    for x in (adv, problem.x, problem.x):
        mean = 0.9 * mean + 0.1 * x.mean()
    torch.testing.assert_close(net.norm.running_mean, mean)
    train = [("train", "changed"), ("train", "clean"), ("train", "clean")]
    assert seen.told(problem.x) == [("eval", "clean"), *[("eval", "changed")] * STEPS, *train, *train]


def test_biases_and_scales_stay():
    net = ConvNet(shape=SHAPE, k=3).train()
    asked = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            asked.append({name: weight.detach().clone() for name, weight in self.net.named_parameters()})
            return self.net(x)

    spy = Spy().train()
    awp(batch(spy), spy, course(10), **HOW, gamma=0.1)
    for name, weight in net.named_parameters():
        change = (asked[-1][name] - weight).norm()
        assert change.item() == pytest.approx(0.1 * weight.norm().item() if weight.ndim > 1 else 0, rel=1e-4), name
