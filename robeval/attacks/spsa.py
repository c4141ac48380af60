"""Simultaneous perturbation stochastic approximation (Uesato et al., 2018, https://arxiv.org/abs/1802.05666)."""

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.decisions import misclassified
from robeval.ops.losses import margin
from robeval.ops.problem import Problem
from robeval.values.parameters import Change, Count

# Adam's constants (Kingma & Ba, 2015, Algorithm 1).
BETA1, BETA2, TINY = 0.9, 0.999, 1e-8


@attack("spsa", norms=("linf", "l2"), paper="arXiv:1802.05666", gradients=False)
def spsa(
    problem: Problem,
    *,
    steps: Count = 100,
    step_size: Change = 0.01,
    samples: Count = 64,
    delta: Change = 0.01,
) -> Tensor:
    """Climb an estimate of the margin's slope with Adam, projecting after each step (Algorithm 1).

    The slope is the average of pairs (f(x + delta v) - f(x - delta v)) / (2 delta) * v, the entries of v drawn from
    {-1, 1}. The points of a pair may be outside ball and box. A row is finished at the first iterate that is
    misclassified. Defaults are those of the implementation that the paper's
    first author gave to CleverHans, unless noted.
    Cost: `steps` * (2 * `samples` + 1) forwards; none after success.

    Parameters:
        steps: of Adam; our choice.
        step_size: Adam's rate, pixels in [0, 1]; CleverHans'.
        samples: pairs for each step; CleverHans'. Published evaluations take up to 8192 points a step.
        delta: how far a pair is from the iterate in each pixel, pixels in [0, 1]; CleverHans'.
    """
    adv = problem.x
    first, second = torch.zeros_like(adv), torch.zeros_like(adv)  # Adam's moments
    for step in problem.steps(steps):
        slope = estimated_slope(problem, adv, samples, delta)
        first = BETA1 * first + (1 - BETA1) * slope
        second = BETA2 * second + (1 - BETA2) * slope**2
        unbiased, spread = first / (1 - BETA1 ** (step + 1)), second / (1 - BETA2 ** (step + 1))
        moved = problem.project(adv + step_size * unbiased / (spread.sqrt() + TINY))
        rows = problem.active
        adv = adv.index_copy(0, rows, moved[rows])
        broken = misclassified(problem.logits(adv), problem.y)
        problem.retire(rows[broken[rows]])
    return adv


def estimated_slope(problem: Problem, points: Tensor, samples: int, delta: float) -> Tensor:
    """What `samples` pairs of random directions say about the slope of the margin, float32 (n, c, h, w).

    A pair with a margin that is NaN or infinite says nothing.
    """
    total = torch.zeros_like(points)
    for _ in range(samples):
        direction = torch.where(problem.noise.uniform(points.shape[1:]) < 0.5, -1.0, 1.0)
        above, below = (margin(problem.logits(points + side * delta * direction), problem.y) for side in (1, -1))
        rise = (above - below) / (2 * delta)
        total += rise.where(rise.isfinite(), 0.0)[:, None, None, None] * direction
    return total / samples
