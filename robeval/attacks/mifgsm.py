"""Momentum iterative FGSM (Dong et al., 2018, https://arxiv.org/abs/1710.06081)."""

from typing import Literal

import torch
from torch import Tensor

from robeval.attacks.registry import attack, fit_loss, never
from robeval.ops.losses import LOSSES
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, Distance, NotNegative


@attack("mifgsm", norms=("linf", "l2"), paper="arXiv:1710.06081", fit=fit_loss, draws=never)
def mifgsm(
    problem: Problem,
    *,
    steps: Count = 10,
    decay: NotNegative = 1.0,
    step_size: Distance | None = None,
    loss: Literal["ce", "margin", "dlr"] = "ce",
) -> Tensor:
    """Follow the sign of a decaying sum of l1-normalised gradients (Algorithm 1); l2 after equation 8.

    There is no random start. An all-zero gradient adds nothing to the sum.
    Cost: `steps` forwards and backwards.

    Parameters:
        steps: the paper's number.
        decay: mu, the share of the sum that is kept, without unit; the paper's.
        step_size: in the ball's norm, pixels in [0, 1]; the paper's eps / steps unless given.
        loss: which climbs; the paper's is "ce".
    """
    length = problem.threat.eps / steps if step_size is None else step_size
    adv, momentum = problem.x, torch.zeros_like(problem.x)
    for _ in problem.steps(steps):
        slope = problem.gradient(adv, LOSSES[loss])  # (n, c, h, w)
        size = problem.norms(slope, "l1").clamp_min(1e-300)
        momentum = decay * momentum + (slope.double() / size).float()
        adv = problem.project(adv + length * problem.steepest(momentum))
    return adv
