"""Natural training: the baseline that knows of no adversary."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.registry import method


@method("natural", norms=())
def natural(problem: Problem, net: nn.Module, /) -> Tensor:
    """Cross-entropy on the images as they are: E CE(f(x), y)."""
    return cross_entropy(net(problem.x), problem.y).mean()
