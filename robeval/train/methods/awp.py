"""Adversarial weight perturbation on top of TRADES (Wu et al., 2020, https://arxiv.org/abs/2004.05884)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from robeval.ops.losses import cross_entropy, kl_from
from robeval.ops.problem import Problem
from robeval.train.inner import beside, climb
from robeval.train.modes import eval_mode
from robeval.train.registry import Course, method
from robeval.values.parameters import Count, NotNegative, Positive


@method("awp", paper="arXiv:2004.05884")
def awp(
    problem: Problem,
    net: nn.Module,
    course: Course,
    /,
    *,
    steps: Count,
    step_size: Positive,
    beta: NotNegative = 6.0,
    gamma: NotNegative = 0.005,
    first_epoch: Count = 10,
) -> Tensor:
    """TRADES at weights that are themselves perturbed for the worse: min over w of max over v of rho(w + v).

    rho is the loss of `trades` at images perturbed against w. v is one step: each matrix or kernel of weights moves
    along its slope of rho by `gamma` of its own length; biases and the scales of BatchNorm stay. The weights then
    learn from the slope at w + v, v taken as a constant. TRADES-AWP as released: `gamma` 0.005, from epoch
    `first_epoch` on (counted from 1), 10 steps of 2/255 in 8/255. The passes that v is made from leave the averages
    of BatchNorm alone; those at w + v move them: x', x and x.

    Deviation: weight decay is that of w, where the released code steps while the weights are at w + v.
    """
    x = problem.x
    with eval_mode(net):
        adv = climb(problem, beside(problem), kl_from, problem.logits(x), steps=steps, step_size=step_size)

    def risk(ask: Callable[[Tensor], Tensor]) -> Tensor:
        boundary = kl_from(ask(adv), ask(x)).mean()
        return cross_entropy(ask(x), problem.y).mean() + beta * boundary

    if course.epoch < first_epoch or gamma == 0:
        return risk(net)
    moved = _worse(net, risk, gamma)
    return risk(lambda images: functional_call(net, moved, (images,)))


def _worse(net: nn.Module, risk: Callable[[Callable[[Tensor], Tensor]], Tensor], gamma: float) -> dict[str, Tensor]:
    """w + v by name, v constant: gamma ||w|| times the unit vector along the slope of the risk, layer by layer."""
    weights = {name: weight for name, weight in net.named_parameters() if weight.ndim > 1 and weight.requires_grad}
    aside = {name: buffer.clone() for name, buffer in net.named_buffers()}
    value = risk(lambda images: functional_call(net, aside, (images,)))
    slopes = torch.autograd.grad(value, list(weights.values()))
    return {
        name: weight + gamma * weight.detach().norm() / slope.norm().clamp_min(1e-20) * slope
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
