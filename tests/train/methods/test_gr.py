"""Gradient regularisation by finite differences."""

import pytest
import torch
import torch.nn.functional as F
from lessons import agree_with_slope, batch, rows, smooth_net

from robeval.train.methods.gr import gr
from robeval.train.methods.ross import ross


@pytest.mark.parametrize(("variant", "counted"), [("intended", 1), ("released", 2)])
@pytest.mark.parametrize("h", [1.0, 0.25])
def test_it_is_half_the_squared_change_along_the_slope(variant, counted, h):
    net = smooth_net()
    problem = batch(net)
    x, y = problem.x.clone().requires_grad_(), problem.y
    (g,) = torch.autograd.grad(F.cross_entropy(net(x), y, reduction="sum"), x)
    far = problem.x + h * g / rows(g.flatten(1).norm(dim=1))
    clean, there = (F.cross_entropy(net(at), y, reduction="none") for at in (problem.x, far))
    written_out = counted * clean.mean() + 0.5 * 3.0 * (((there - clean) / h) ** 2).mean()
    agree_with_slope(gr(problem, net, weight=3.0, distance=h, variant=variant), written_out, net)


def test_for_a_short_step_it_is_the_squared_slope():
    """The difference quotient along g / |g| goes to |g|, so the penalty to half that of `ross`."""
    net = smooth_net()
    short = gr(batch(net), net, weight=2.0, distance=1e-6)
    torch.testing.assert_close(short, ross(batch(net), net, weight=1.0), rtol=1e-4, atol=1e-6)


def test_the_released_variant_is_one_natural_loss_more():
    net = smooth_net()
    natural = F.cross_entropy(net(batch(net).x), batch(net).y)
    agree_with_slope(gr(batch(net), net, variant="released") - gr(batch(net), net), natural, net)
