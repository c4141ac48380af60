"""Input gradient regularisation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lessons import agree, agree_with_slope, batch, by_differences, linear_net, smooth_net

from robeval.train.methods.ross import ross


def test_for_a_linear_network_the_penalty_is_a_formula():
    """d CE / dx = W^T (p - e_y)."""
    net = linear_net()
    problem = batch(net)
    weight, bias = (each.detach().numpy() for each in net[1].parameters())
    x, y = problem.x.flatten(1).numpy(), problem.y.numpy()
    z = x @ weight.T + bias
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    slope = (p - np.eye(3)[y]) @ weight
    expected = np.mean(-np.log(p[range(6), y]) + 0.7 * (slope**2).sum(axis=1))
    assert ross(problem, net, weight=0.7).item() == pytest.approx(expected, rel=1e-12)


def test_it_is_the_squared_slope_of_each_image_by_differences():
    net = smooth_net()
    problem = batch(net)
    x, y, h = problem.x, problem.y, 1e-6
    length = torch.zeros(6, dtype=torch.float64)
    for place in range(9):
        step = (h * F.one_hot(torch.tensor(place), 9)).double().view(1, 1, 3, 3)
        up, down = (F.cross_entropy(net(x + side * step), y, reduction="none") for side in (1, -1))
        length += ((up - down) / (2 * h)).detach() ** 2
    expected = F.cross_entropy(net(x), y) + 0.1 * length.mean()
    torch.testing.assert_close(ross(problem, net), expected, rtol=1e-7, atol=1e-7)


def test_the_gradient_goes_through_the_slope():
    net = smooth_net()
    by_differences(lambda: ross(batch(net), net, weight=2.0), net)


def test_without_weight_it_is_the_natural_loss():
    net = smooth_net()
    problem = batch(net)
    agree_with_slope(ross(problem, net, weight=0.0), F.cross_entropy(net(problem.x), problem.y), net)
    agree(ross(problem, net, weight=0.0), ross(batch(net), net, weight=0))
