"""TRADES (Zhang et al., 2019, https://arxiv.org/abs/1901.08573)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy, kl_from
from robeval.ops.problem import Problem
from robeval.train.inner import beside, climb
from robeval.train.modes import Mode, in_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, NotNegative, Positive


@method("trades", paper="arXiv:1901.08573")
def trades(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    steps: Count,
    step_size: Positive,
    beta: NotNegative = 6.0,
    detach_clean: bool = False,
    attack_mode: Mode = "eval",
) -> Tensor:
    """Natural risk plus `beta` times the boundary risk: E [CE(f(x), y) + beta * max KL(f(x) || f(x'))].

    Equation (5) and Algorithm 1, with `beta` the paper's 1/lambda. The inner maximum starts at x + 0.001 N(0, I)
    and takes `steps` steps, with the network in evaluation mode as in the released code since March 2019; before,
    and so for the paper's numbers, it was `attack_mode = "train"`. There, and here, both sides of the KL divergence
    carry gradient to the weights, and its clean side is a forward pass of its own (with other dropout than that of
    the cross-entropy; BatchNorm sees x, x' and x). `detach_clean` takes the clean side as a constant, as many copies
    of the code do. Released settings: 10 steps of 0.007 in 0.031 on CIFAR-10, 40 steps of 0.01 in 0.3 on MNIST.

    Deviations: for l2, pass `step_size = 2 eps / steps` to get the released steps; a slope of exactly zero stays
    where it is, where the released code puts random noise, and the ball comes before the pixel box. In training
    mode the clean side of the inner problem is one pass, not one a step.
    """
    x, y = problem.x, problem.y
    with in_mode(net, attack_mode):
        clean = problem.logits(x)
        adv = climb(problem, beside(problem), kl_from, clean, steps=steps, step_size=step_size)
    natural = cross_entropy(net(x), y).mean()
    changed, reference = net(adv), net(x)
    boundary = kl_from(changed, reference.detach() if detach_clean else reference).mean()
    return natural + beta * boundary
