"""Fast gradient sign method (Goodfellow et al., 2015, https://arxiv.org/abs/1412.6572)."""

from typing import Literal

from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.losses import LOSSES
from robeval.ops.problem import Problem


@attack("fgsm", norms=("linf", "l2"), paper="arXiv:1412.6572")
def fgsm(problem: Problem, *, loss: Literal["ce", "margin", "dlr"] = "ce", random_start: bool = False) -> Tensor:
    """One step as long as the radius: section 4 of the paper; for l2 along the unit gradient.

    With `random_start` (Bilateral Adversarial Training, Tables 3 and 4) the step begins at a random point of the
    ball and its end is projected back. Cost: 1 forward, 1 backward.
    """
    start = problem.random_point() if random_start else problem.x
    slope = problem.gradient(start, LOSSES[loss])  # (n, c, h, w)
    return problem.project(start + problem.threat.eps * problem.steepest(slope))
