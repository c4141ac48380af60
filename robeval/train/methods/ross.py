"""Input gradient regularisation (Ross & Doshi-Velez, 2018, https://arxiv.org/abs/1711.09404)."""

import torch
from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.registry import method
from robeval.values.parameters import NotNegative


@method("ross", paper="arXiv:1711.09404", norms=())
def ross(problem: Problem, net: nn.Module, /, *, weight: NotNegative = 0.1) -> Tensor:
    """Cross-entropy plus the squared length of its slope to the image: E [CE + w ||d CE / dx||_2^2].

    w (the paper's lambda) is `weight`, for pixels in [0, 1] and the slope of each image's own loss. The penalty is
    differentiated once more for the weights. The settings that TRADES compares with in Table 5 are not published;
    the default is ours.
    """
    x = problem.x.detach().requires_grad_()
    losses = cross_entropy(net(x), problem.y)  # (n,)
    (slope,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
    return (losses + weight * slope.square().flatten(1).sum(dim=1)).mean()
