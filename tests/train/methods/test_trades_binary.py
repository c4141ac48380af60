"""TRADES for two classes."""

import numpy as np
import pytest
import torch
from lessons import (
    BALLS,
    SHAPE,
    STEP_SIZE,
    STEPS,
    agree_with_slope,
    attacked,
    batch,
    by_differences,
    linear_net,
    noise,
    smooth_net,
)

from robeval.errors import UserError
from robeval.train.methods.trades_binary import trades_binary
from robeval.zoo.archs.registry import build

HOW = {"steps": STEPS, "step_size": STEP_SIZE}


def hinge(margin):
    return torch.relu(1 - margin)


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("divisor", [1.0, 4.0])
def test_it_is_equation_3(threat, divisor):
    net = smooth_net(classes=2)
    problem = batch(net, threat, classes=2)
    x, y = problem.x, torch.tensor([-1, 1] * 3)

    def f(images):
        return net(images)[:, 1] - net(images)[:, 0]

    clean = f(x).detach()
    start = x + 0.001 * noise().normal(SHAPE)
    adv = attacked(f, start, x, threat, lambda score: hinge(score * clean / divisor).sum())
    written_out = hinge(y * f(x)).mean() + hinge(f(adv) * f(x) / divisor).mean()
    agree_with_slope(trades_binary(problem, net, **HOW, divisor=divisor), written_out, net, threat)


def test_for_a_linear_score_it_is_a_formula():
    """f(x') f(x) is smallest where the score moves by eps |w|_1 towards 0: phi((f^2 - |f| eps |w|_1) / lambda)."""
    net = linear_net(classes=2)
    net[1].weight.data *= 0.05
    net[1].bias.data *= 0.05
    problem = batch(net, classes=2, low=0.3, high=0.7)  # so that the pixel box is out of reach
    weight, bias = (each.detach().numpy() for each in net[1].parameters())
    w, b = weight[1] - weight[0], bias[1] - bias[0]
    f = problem.x.flatten(1).numpy() @ w + b
    worst = f**2 - np.abs(f) * problem.threat.eps * np.abs(w).sum()
    y = np.array([-1, 1] * 3)
    expected = np.mean(np.maximum(1 - y * f, 0) + np.maximum(1 - worst / 2, 0))
    found = trades_binary(problem, net, steps=10, step_size=0.02, divisor=2.0).item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net(classes=2)
    by_differences(lambda: trades_binary(batch(net, classes=2), net, **HOW, divisor=30.0), net)


def test_the_network_of_one_score_is_for_it():
    net = build("net", {"outputs": 1}, (1, 28, 28), 2, "card").train()
    loss = trades_binary(batch(net, classes=2, shape=(1, 28, 28)), net, **HOW)
    loss.backward()
    assert net.fc2.weight.grad.shape == (1, 50)
    assert net.fc2.weight.grad.any()


def test_three_classes_are_refused():
    net = smooth_net()
    with pytest.raises(UserError, match="for two classes, but the network has 3"):
        trades_binary(batch(net), net, **HOW)
