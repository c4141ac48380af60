"""Stability training."""

import pytest
import torch
import torch.nn.functional as F
from lessons import SHAPE, agree, agree_with_slope, batch, by_differences, kl, noise, slope_of, smooth_net

from robeval.train.methods.zheng import zheng


@pytest.mark.parametrize("detach", [False, True])
def test_it_is_cross_entropy_with_the_true_and_with_the_clean_prediction(detach):
    net = smooth_net()
    problem = batch(net)
    noisy = problem.x + 0.2 * noise().normal(SHAPE)
    p, q = torch.softmax(net(problem.x), dim=1), torch.softmax(net(noisy), dim=1)
    soft = p.detach() if detach else p
    written_out = F.nll_loss(p.log(), problem.y) - 1.5 * (soft * q.log()).sum(dim=1).mean()
    loss = zheng(problem, net, weight=1.5, sigma=0.2, detach_clean=detach)
    agree_with_slope(loss, written_out, net)
    entropy = -(p * p.log()).sum(dim=1).mean()
    agree(loss, F.nll_loss(p.log(), problem.y) + 1.5 * (kl(p, q).mean() + entropy))


def test_which_side_carries_gradient_matters():
    net = smooth_net()
    both, one = (slope_of(zheng(batch(net), net, detach_clean=detach), net) for detach in (False, True))
    assert not torch.allclose(both, one, rtol=1e-2)


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: zheng(batch(net), net), net)


def test_the_defaults_are_as_much_noise_and_weight_as_is_said():
    net = smooth_net()
    agree(zheng(batch(net), net), zheng(batch(net), net, weight=1.0, sigma=0.1))
