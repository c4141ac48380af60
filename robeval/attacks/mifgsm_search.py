"""MI-FGSM (Dong et al., 2018, https://arxiv.org/abs/1710.06081) with a search for the smallest radius."""

import math

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.geometry import per_row
from robeval.ops.losses import cross_entropy
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, NotNegative, Positive


@attack("mifgsm_search", norms=("linf",), paper="arXiv:1710.06081", minimal=True)
def mifgsm_search(
    problem: Problem,
    *,
    steps: Count = 10,
    decay: NotNegative = 1.0,
    first: Positive = 0.3,
    ratio: Positive = 0.2,
    growth: Positive = 1.5,
    tries: Count = 20,
    bisections: Count = 20,
) -> Tensor:
    """Run MI-FGSM at growing radii until one succeeds, then bisect; the nearest misclassified image counts.

    This is the attack as the library does it that TRADES (Table 5) used: the first radius is 0.3, `growth` times more
    in each of at most `tries` tries, then `bisections` halvings of the bracket. A step is `ratio` times the radius,
    and a run ends at its first misclassified image. Gradients are divided by their mean absolute value, which is the
    paper's l1 normalisation times the number of pixels: the signs are the same. An all-zero gradient adds nothing.
    Cost: at most `steps` + 1 forwards and backwards in each of `tries` + `bisections` runs.
    """
    nearest = Nearest(problem)
    low = torch.zeros_like(problem.y, dtype=torch.float64)
    high, eps = torch.full_like(low, torch.inf), torch.full_like(low, first)
    tried, halved = torch.zeros_like(problem.y), torch.zeros_like(problem.y)
    for _ in problem.steps(tries + bisections):
        growing = high.isinf()
        broken = _run(problem, nearest, eps, steps, decay, ratio)
        tried += growing
        halved += ~growing
        low, high = torch.where(broken, low, eps), torch.where(broken, eps, high)
        eps = torch.where(high.isinf(), growth * eps, (low + high) / 2)
        done = torch.where(high.isinf(), tried >= tries, halved >= bisections)
        problem.retire(done.nonzero().squeeze(1))
    return nearest.points


def _run(problem: Problem, nearest: Nearest, eps: Tensor, steps: int, decay: float, ratio: float) -> Tensor:
    """MI-FGSM at each row's own radius until the row is misclassified; which rows are in the end, bool (n,)."""
    radius = per_row(eps.float())
    adv, momentum = problem.x, torch.zeros_like(problem.x)
    broken = torch.zeros_like(problem.y, dtype=torch.bool)
    for step in range(steps + 1):
        rows = problem.active[~broken[problem.active]]
        if not len(rows):
            break
        with problem.only(rows):
            if step == steps:
                return broken | nearest.see(adv, problem.logits(adv))
            logits, _, slope = problem.ask(adv, cross_entropy)
            broken |= nearest.see(adv, logits)
        mean = problem.norms(slope, "l1").clamp_min(1e-300) / math.prod(slope.shape[1:])
        momentum = decay * momentum + (slope.double() / mean).float()
        step_to = adv + ratio * radius * momentum.sign()
        adv = problem.clip(problem.x + (step_to - problem.x).clamp(-radius, radius))
    return broken
