"""TRADES for two classes, with the hinge (Zhang et al., 2019, https://arxiv.org/abs/1901.08573, section 5.1)."""

from torch import Tensor, nn

from robeval.ops.problem import Problem
from robeval.train.inner import beside, climb
from robeval.train.modes import eval_mode
from robeval.train.registry import method
from robeval.train.two import score, sign
from robeval.values.parameters import Count, Positive


@method("trades_binary", paper="arXiv:1901.08573")
def trades_binary(
    problem: Problem, net: nn.Module, /, *, steps: Count, step_size: Positive, divisor: Positive = 5.0
) -> Tensor:
    """Hinge of the score and of its change: E [phi(y f(x)) + max phi(f(x') f(x) / divisor)], phi(u) = max(1 - u, 0).

    Equation (3), with `divisor` the paper's lambda, which the script calls beta. y is -1 for the first class and
    +1 for the second; f is the difference of their logits, so the one score of a network with one output
    (`arch = "net", outputs = 1`). The inner maximum starts at x + 0.001 N(0, I), with the network in evaluation
    mode. Gradient flows through all three f, f(x) being passed twice as in `trades`. Settings of Table 3: digits 1
    and 3 of MNIST, 20 steps of 0.01 in 0.1, `divisor` 2 to 5. With a small one training may stay where the score is
    the same for all images, as every way out has to pass f = 0.
    """
    x = problem.x

    def apart(logits: Tensor, clean: Tensor) -> Tensor:
        return _hinge(score(logits) * score(clean) / divisor)

    with eval_mode(net):
        adv = climb(problem, beside(problem), apart, problem.logits(x), steps=steps, step_size=step_size)
    natural = _hinge(sign(problem.y) * score(net(x))).mean()
    changed, reference = score(net(adv)), score(net(x))
    return natural + _hinge(changed * reference / divisor).mean()


def _hinge(margin: Tensor) -> Tensor:
    return (1 - margin).clamp_min(0)
