"""Gradient regularisation by finite differences, as Yang et al. compare with it (https://arxiv.org/abs/2003.02460)."""

from typing import Literal

import torch
from torch import Tensor, nn

from robeval.ops.geometry import steepest
from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.registry import method
from robeval.values.parameters import NotNegative, Positive


@method("gr", paper="arXiv:2003.02460", norms=())
def gr(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    weight: NotNegative = 1.0,
    distance: Positive = 1.0,
    variant: Literal["intended", "released"] = "intended",
) -> Tensor:
    """Cross-entropy plus its squared change along its slope: E [CE(x) + w/2 ((CE(x_f) - CE(x)) / h)^2].

    After Finlay & Oberman (2019, arXiv:1905.11468), of which Yang et al. (2020, section 5) train with w = `weight` =
    1 and x_f = x + h g / ||g||_2, g the slope of CE(x) taken as a constant, h = `distance` = 1 (l2, pixels in [0, 1],
    x_f not clipped). Their code goes back through CE(x) twice, so `variant = "released"` has 2 CE(x) in its place.

    Deviation: the mean over the batch where their code sums: multiply their learning rate by the batch size.
    """
    x = problem.x.detach().requires_grad_()
    clean = cross_entropy(net(x), problem.y)  # (n,)
    (slope,) = torch.autograd.grad(clean.sum(), x, retain_graph=True)
    far = problem.x + distance * steepest(slope, "l2")
    change = (cross_entropy(net(far), problem.y) - clean) / distance
    counted = 2 if variant == "released" else 1
    return (counted * clean + weight / 2 * change.square()).mean()
