"""TRADES (Zhang et al., 2019, https://arxiv.org/abs/1901.08573)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy, kl_from
from robeval.ops.problem import Problem
from robeval.train.modes import eval_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, NotNegative, Positive


@method("trades", paper="arXiv:1901.08573")
def trades(
    problem: Problem, net: nn.Module, /, *, steps: Count, step_size: Positive, beta: NotNegative = 6.0
) -> Tensor:
    """Natural risk plus `beta` times the boundary risk: E [CE(f(x), y) + beta * max KL(f(x) || f(x'))].

    Equation (5) and Algorithm 1, with `beta` the paper's 1/lambda. The inner maximum starts at x + 0.001 N(0, I)
    and takes `steps` steps, with the network in evaluation mode as in the released code since March 2019. There,
    and here, both sides of the KL divergence carry gradient to the weights, and its clean side is a forward
    pass of its own (with other dropout than that of the cross-entropy; BatchNorm sees x, x' and x). Released
    settings: 10 steps of 0.007 in 0.031 on CIFAR-10, 40 steps of 0.01 in 0.3 on MNIST.

    Deviation: for l2, pass `step_size = 2 eps / steps` to get the released steps; a slope of exactly zero stays
    where it is, where the released code puts random noise.
    """
    x, y = problem.x, problem.y
    with eval_mode(net):
        clean = problem.logits(x)
        adv = x + 0.001 * problem.noise.normal(x.shape[1:])
        for _ in problem.steps(steps):
            slope = problem.gradient(adv, kl_from, target=clean)  # (n, c, h, w)
            adv = problem.project(adv + step_size * problem.steepest(slope))
    natural = cross_entropy(net(x), y).mean()
    boundary = kl_from(net(adv), net(x)).mean()
    return natural + beta * boundary
