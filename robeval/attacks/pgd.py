"""Projected gradient descent (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

from functools import partial
from typing import Literal

from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.losses import LOSSES, hinged_margin
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, NotNegative, Positive


@attack("pgd", norms=("linf", "l2"), paper="arXiv:1706.06083")
def pgd(
    problem: Problem,
    *,
    steps: Count,
    step_size: Positive,
    loss: Literal["ce", "margin", "dlr"] = "ce",
    kappa: NotNegative | None = None,
    random_start: bool = True,
    clip_start: bool = False,
) -> Tensor:
    """Climb the loss for `steps` steps of `step_size` (pixel units) and return the last iterate (section 2.1).

    Published variants differ only in numbers: TRADES tests with 20 steps of 0.003 from the image itself,
    Bilateral Adversarial Training with 100 steps of 2/255 from a random point. TRADES and BAT leave that
    point outside the pixel box until the first projection; Madry and Yang clip it first (`clip_start`).
    "PGD-CW" of the Madry challenges is `loss = "margin", kappa = 50`; without kappa the margin has no hinge.
    Cost: `steps` forwards and backwards.
    """
    climb = LOSSES[loss] if kappa is None else partial(hinged_margin, kappa=kappa)
    adv = problem.random_point(clip=clip_start) if random_start else problem.x
    for _ in problem.steps(steps):
        slope = problem.gradient(adv, climb)  # (n, c, h, w)
        adv = problem.project(adv + step_size * problem.steepest(slope))
    return adv
