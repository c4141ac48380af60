"""Exact adversarial training of a linear model (Tsipras et al., 2019, https://arxiv.org/abs/1805.12152)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.ops.problem import Problem
from robeval.train.registry import method
from robeval.train.two import score, sign

# The dual of each norm: max of w . delta over ||delta|| <= eps is eps times it.
_DUAL = {"linf": 1.0, "l2": 2.0, "l1": math.inf}


@method("linear_exact", paper="arXiv:1805.12152", norms=("linf", "l2", "l1"))
def linear_exact(problem: Problem, net: nn.Module, /) -> Tensor:
    """Logistic loss at the worst point of the ball, in closed form: E log(1 + exp(-(y f(x) - eps ||w||_dual))).

    For f(x) = w . x + b, as in section 2 and for the digits 5 and 7 of MNIST, where it trains for 100 epochs: the worst
    delta takes eps ||w|| in the dual norm off every margin, for l-inf eps times the sum of |w|. There is no pixel box,
    as in the paper. y is -1 for the first class and +1 for the second; f is the difference of their logits, whatever
    input layer is before them; w is its slope, and carries gradient.

    Raises:
        UserError: the network is not linear, or has not two classes.
    """
    origin = torch.zeros_like(problem.x[:1])
    x = torch.cat([problem.x.detach(), origin]).requires_grad_()
    f = score(net(x))
    (slope,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    w = slope.flatten(1)  # (n + 1, d): each row the same
    if not torch.allclose(w, w[-1:].expand_as(w), rtol=1e-3, atol=1e-3 * w.detach().abs().amax().item()):
        found = "the method is exact for linear networks only, but this one is not linear"
        raise UserError(found, where="[training]", fix='Take arch = "linear", or method = "madry".')
    worst = problem.threat.eps * torch.linalg.vector_norm(w[-1], ord=_DUAL[problem.threat.norm])
    return F.softplus(-(sign(problem.y) * f[:-1] - worst)).mean()
