"""Exact adversarial training of a linear model."""

import numpy as np
import pytest
import torch
from doubles import images
from lessons import SHAPE, agree_with_slope, batch, by_differences, linear_net, smooth_net
from torch import nn

from robeval.attacks.pgd import pgd
from robeval.errors import UserError
from robeval.train.methods.linear_exact import linear_exact
from robeval.values.card import Input
from robeval.values.threat import ThreatModel
from robeval.zoo.archs.registry import build
from robeval.zoo.model import with_input

DUAL = {"linf": 1, "l2": 2, "l1": np.inf}


@pytest.mark.parametrize("norm", DUAL)
def test_it_is_the_formula(norm):
    net, threat = linear_net(classes=2), ThreatModel(norm, 0.1)
    problem = batch(net, threat, classes=2)
    weight, bias = (each.detach().numpy() for each in net[1].parameters())
    w, b = weight[1] - weight[0], bias[1] - bias[0]
    y = np.array([-1, 1] * 3)
    margin = y * (problem.x.flatten(1).numpy() @ w + b) - 0.1 * np.linalg.norm(w, DUAL[norm])
    assert linear_exact(problem, net).item() == pytest.approx(np.mean(np.log1p(np.exp(-margin))), rel=1e-12)


@pytest.mark.parametrize("norm", DUAL)
def test_it_is_the_loss_that_one_full_step_of_pgd_reaches(norm):
    """For a linear model that step is the inner maximum, where the pixel box is out of reach."""
    net, threat = linear_net(classes=2), ThreatModel(norm, 0.0625)
    problem = batch(net, threat, classes=2, low=0.3, high=0.7)
    adv = pgd(batch(net, threat, classes=2, low=0.3, high=0.7), steps=1, step_size=0.0625, random_start=False)
    reached = nn.functional.cross_entropy(net(adv), problem.y)
    loss = linear_exact(problem, net)
    torch.testing.assert_close(loss, reached, rtol=1e-5, atol=1e-5)
    assert loss > nn.functional.cross_entropy(net(problem.x), problem.y)


@pytest.mark.parametrize("norm", DUAL)
def test_the_gradient_is_the_slope_of_the_loss_itself(norm):
    net = linear_net(classes=2)
    by_differences(lambda: linear_exact(batch(net, ThreatModel(norm, 0.1), classes=2), net), net, every=1)


def test_an_input_layer_counts_to_the_weights():
    """Behind (x - mean) / std the slope is w / std."""
    inner = build("linear", {}, SHAPE, 2, "card")
    layered = with_input(inner, Input("fixed", (0.5,), (0.25,)), 1, "card").double()
    plain = linear_net(classes=2)
    plain[1].weight.data = inner.fc.weight.detach().double() * 4
    plain[1].bias.data = inner.fc.bias.detach().double() - 2 * inner.fc.weight.detach().sum(dim=1)
    theirs = linear_exact(batch(plain, classes=2), plain)
    torch.testing.assert_close(linear_exact(batch(layered, classes=2), layered), theirs)


def test_without_a_ball_it_is_the_logistic_loss():
    net = linear_net(classes=2)
    problem = batch(net, ThreatModel("linf", 0.0), classes=2)
    agree_with_slope(linear_exact(problem, net), nn.functional.cross_entropy(net(problem.x), problem.y), net)


@pytest.mark.parametrize("classes", [2, 3])
def test_other_networks_are_refused(classes):
    net = smooth_net(classes=2) if classes == 2 else linear_net()
    with pytest.raises(UserError, match="not linear" if classes == 2 else "for two classes"):
        linear_exact(batch(net, classes=2), net)


def test_adversarial_training_leaves_weight_only_on_what_is_worth_it():
    """A pixel whose classes are nearer than 2 eps gets none; without eps it does (Tsipras et al., section 2)."""
    y = torch.arange(200) % 2
    x = 0.5 + torch.stack([0.2 * (2 * y - 1.0), 0.05 * (2 * y - 1.0)], dim=1).view(-1, 1, 1, 2)
    x = (x + 0.01 * (images(200, (1, 1, 2)) - 0.5)).double()
    found = {}
    for eps in (0.0, 0.1):
        net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).double().train()
        for weight in net.parameters():
            nn.init.zeros_(weight)
        optimiser = torch.optim.SGD(net.parameters(), lr=2.0)
        for _ in range(300):
            problem = batch(net, ThreatModel("linf", eps), classes=2)
            problem.x, problem.y = x, y
            optimiser.zero_grad()
            linear_exact(problem, net).backward()
            optimiser.step()
        w = (net[1].weight[1] - net[1].weight[0]).detach().abs()
        found[eps] = (w[1] / w[0]).item()
    assert found[0.0] > 0.04
    assert found[0.1] < 0.01
