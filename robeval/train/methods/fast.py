"""Fast adversarial training (Wong et al., 2020, https://arxiv.org/abs/2001.03994)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.inner import climb
from robeval.train.registry import method
from robeval.values.parameters import Positive


@method("fast", paper="arXiv:2001.03994")
def fast(problem: Problem, net: nn.Module, /, *, step_size: Positive | None = None) -> Tensor:
    """Cross-entropy after one step of FGSM from a random point: E CE(f(x'), y), Algorithm 3.

    The step is 1.25 eps unless given, and the random point, uniform in the ball, is clipped to the pixel box, as in
    the released code, which attacks in training mode. Longer steps or longer training may fail all at once
    ("catastrophic overfitting"), which shows as a robust accuracy of nearly 0 under PGD. Their schedule: 15 epochs,
    the rate up to 0.2 and back to 0, linearly.
    """
    length = 1.25 * problem.threat.eps if step_size is None else step_size
    adv = climb(problem, problem.random_point(clip=True), cross_entropy, steps=1, step_size=length)
    return cross_entropy(net(adv), problem.y).mean()
