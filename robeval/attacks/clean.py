"""No attack: natural accuracy is then a cell like any other."""

from torch import Tensor

from robeval.attacks.registry import attack, never
from robeval.ops.problem import Problem


@attack("clean", norms=("linf", "l2", "l1"), gradients=False, draws=never)
def clean(problem: Problem) -> Tensor:
    """The clean images. Cost: none."""
    return problem.x
