"""Natural training."""

import torch
from lessons import N, agree_with_slope, batch, by_differences, smooth_net

from robeval.train.methods.natural import natural


def test_it_is_the_mean_cross_entropy():
    net = smooth_net()
    problem = batch(net)
    p = torch.softmax(net(problem.x), dim=1)
    written_out = -sum(torch.log(p[row, problem.y[row]]) for row in range(N)) / N
    agree_with_slope(natural(problem, net), written_out, net)
    by_differences(lambda: natural(batch(net), net), net)
