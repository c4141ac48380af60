"""What the inner problems of several methods share: starts, steps, and batches of which only a part is attacked."""

from collections.abc import Callable

import torch
from torch import Tensor

from robeval.ops.losses import Loss
from robeval.ops.microbatch import Microbatches
from robeval.ops.problem import Problem


def beside(problem: Problem) -> Tensor:
    """x + 0.001 N(0, I), float32 (n, c, h, w): where TRADES starts, as at x itself its divergence has no slope."""
    return problem.x + 0.001 * problem.noise.normal(problem.x.shape[1:])


def climb(
    problem: Problem, start: Tensor, loss: Loss, target: Tensor | None = None, *, steps: int, step_size: float
) -> Tensor:
    """Projected ascent: `steps` times x' <- P(x' + step_size * steepest step), the last iterate, (n, c, h, w).

    P is the projection on ball and pixel box. `target` is what the loss compares with; the true classes if not given.
    """
    adv = start
    for _ in problem.steps(steps):
        slope = problem.gradient(adv, loss, target)  # (n, c, h, w)
        adv = problem.project(adv + step_size * problem.steepest(slope))
    return adv


def partly(problem: Problem, clean_share: float, attack: Callable[[Problem], Tensor]) -> tuple[Tensor, int]:
    """The batch with its first images as they are and the others attacked, and how many are clean.

    The attack sees its images alone, as a batch of their own. Which come first is chance, as every epoch has
    another order.
    """
    count = round(clean_share * len(problem.x))
    if count == 0:
        return attack(problem), 0
    if count == len(problem.x):
        return problem.x, count
    rows = torch.arange(count, len(problem.x))
    model = Microbatches(problem.model.model, len(rows))
    rest = Problem(model, problem.x[count:], problem.y[count:], problem.threat, problem.noise.part(rows.numpy()))
    return torch.cat([problem.x[:count], attack(rest)]), count
