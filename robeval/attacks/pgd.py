"""Projected gradient descent (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from robeval.attacks.registry import at_its_start, attack, fit_loss
from robeval.errors import UserError
from robeval.ops.losses import chosen
from robeval.ops.problem import Problem
from robeval.ops.targets import Rule, aim
from robeval.values.parameters import Count, Distance, NotNegative


def _fit(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """The loss filled in.

    Raises:
        UserError: it needs more classes, or a start is chosen where there is none.
    """
    if params["start"] != "ball" and not params["random_start"]:
        found = f"'start' is \"{params['start']}\", but 'random_start' is false"
        raise UserError(found, fix="Leave out one of them.")
    return fit_loss(params, classes)


@attack("pgd", norms=("linf", "l2"), paper="arXiv:1706.06083", fit=_fit, draws=at_its_start)
def pgd(
    problem: Problem,
    *,
    steps: Count,
    step_size: Distance,
    loss: Literal["ce", "margin", "dlr"] = "ce",
    kappa: NotNegative | None = None,
    target: Rule = "none",
    random_start: bool = True,
    start: Literal["ball", "sphere"] = "ball",
    clip_start: bool = False,
) -> Tensor:
    """Climb the loss for `steps` steps of `step_size` and return the last iterate (section 2.1).

    The step is the paper's x <- project(x + step_size * sign(slope)); for l2 it is along the unit slope.
    Published variants differ only in numbers: TRADES tests with 20 steps of 0.003 from the image itself,
    Bilateral Adversarial Training with 100 steps of 2/255 from a random point.
    Cost: `steps` forwards and backwards, and 1 forward to choose a target.

    Parameters:
        steps: there is no usual number; Madry's MNIST challenge takes 40 and TRADES 20.
        step_size: in the ball's norm, pixels in [0, 1]; Madry's challenge takes 0.01 for MNIST and 2/255 for CIFAR-10.
        loss: which climbs; the paper's is "ce". "PGD-CW" of the Madry challenges is "margin" with kappa = 50.
        kappa: the margin is climbed until another logit leads by this much, in logits; without it, for ever.
        target: reach one wrong class, chosen by the clean logits or at random; a sample is still broken by any wrong
            class. The paper's is "none".
        random_start: begin at a random point of the ball, as in the paper.
        start: "ball" draws that point uniformly from the ball; "sphere" goes the whole radius in a random direction, as
            MadryLab's library `robustness` does for l2 (with `clip_start`).
        clip_start: move that point into the pixel box before the first gradient, as Madry and Yang do; TRADES and BAT
            leave it outside until the first projection.
    """
    target_classes = aim(problem, target)
    climb = chosen(loss, target != "none", kappa)
    adv = problem.random_point(clip=clip_start, sphere=start == "sphere") if random_start else problem.x
    for _ in problem.steps(steps):
        slope = problem.gradient(adv, climb, target_classes)  # (n, c, h, w)
        adv = problem.project(adv + step_size * problem.steepest(slope))
    return adv
