"""Fast gradient sign method (Goodfellow et al., 2015, https://arxiv.org/abs/1412.6572)."""

from typing import Literal

from torch import Tensor

from robeval.attacks.registry import at_its_start, attack, fit_loss
from robeval.ops.losses import chosen
from robeval.ops.problem import Problem
from robeval.ops.targets import Rule, aim


@attack("fgsm", norms=("linf", "l2"), paper="arXiv:1412.6572", fit=fit_loss, draws=at_its_start)
def fgsm(
    problem: Problem,
    *,
    loss: Literal["ce", "margin", "dlr"] = "ce",
    target: Rule = "none",
    random_start: bool = False,
) -> Tensor:
    """One step as long as the radius: section 4 of the paper, without a number there; for l2 along the unit gradient.

    Cost: 1 forward, 1 backward, and 1 forward to choose a target.

    Parameters:
        loss: which climbs; the paper's is "ce".
        target: the wrong class to go towards: the most confusing or least likely by the clean logits, or a random one;
            a sample is still broken by any wrong class. The paper's is "none".
        random_start: begin at a random point of the ball and project the end back, as Bilateral Adversarial Training
            does in Tables 3 and 4; not in the paper.
    """
    target_classes = aim(problem, target)
    start = problem.random_point() if random_start else problem.x
    slope = problem.gradient(start, chosen(loss, target != "none"), target_classes)  # (n, c, h, w)
    return problem.project(start + problem.threat.eps * problem.steepest(slope))
