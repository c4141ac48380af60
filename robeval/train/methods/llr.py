"""Local linearity regularisation (Qin et al., 2019, https://arxiv.org/abs/1907.02610)."""

from typing import Literal

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.ops import geometry
from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.inner import beside
from robeval.train.modes import Mode, in_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, NotNegative, Positive


@method("llr", paper="arXiv:1907.02610")
def llr(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    step_size: Positive,
    steps: Count = 2,
    weight: NotNegative = 4.0,
    mu: NotNegative = 3.0,
    variant: Literal["intended", "released"] = "intended",
    attack_mode: Mode = "eval",
) -> Tensor:
    """Cross-entropy, its distance from linear, and its slope along it: E [CE(x) + w |r| + mu |delta . g|].

    r = CE(x + delta) - CE(x) - delta . g, with g the slope of CE at x and delta the
    point of the ball where |r| is largest, approached by `steps` steps of `step_size` (Yang et al., 2020: 2 steps of
    eps/2) from a random one. w (the paper's lambda) is `weight`. g carries gradient to the weights.

    `variant = "released"` is what Yang et al.'s code trains, where g is 0 by mistake and CE(x) is not taken off:
    CE(x) + w CE(x + delta), from x + 0.001 N(0, I) by steps along the slope divided by its largest entry, then
    clipped to the pixel box and shrunk into the l-inf ball. It has no `mu`. Whether either attacks in evaluation mode
    is not known (`attack_mode`).

    Deviation: the mean over the batch where Yang et al. sum: multiply their learning rate by the batch size.

    Raises:
        UserError: the released variant is wanted in another ball than l-inf.
    """
    if variant == "released" and problem.threat.norm != "linf":
        found = f"'llr' as released is defined for norm 'linf' only, not '{problem.threat.norm}'"
        raise UserError(found, where="[training]", fix='Take variant = "intended", or norm = "linf".')
    with in_mode(net, attack_mode):
        search = _released if variant == "released" else _least_linear
        adv = search(problem, steps, step_size)
    x = problem.x.detach().requires_grad_()
    clean, far = cross_entropy(net(x), problem.y), cross_entropy(net(adv), problem.y)  # (n,)
    if variant == "released":
        return (clean + weight * far).mean()
    (slope,) = torch.autograd.grad(clean.sum(), x, create_graph=True)
    along = _dot(adv - problem.x, slope)
    return (clean + weight * (far - clean - along).abs() + mu * along.abs()).mean()


def _least_linear(problem: Problem, steps: int, step_size: float) -> Tensor:
    """Climbs |r|, whose slope is sign(r) (d CE(x + delta) - g)."""
    x = problem.x
    clean, slope = problem.value_and_gradient(x, cross_entropy)
    adv = problem.random_point(clip=True)
    for _ in problem.steps(steps):
        here, there = problem.value_and_gradient(adv, cross_entropy)
        rest = here - clean - _dot(adv - x, slope)  # r
        climb = geometry.per_row(rest.sign()) * (there - slope)
        adv = problem.project(adv + step_size * problem.steepest(climb))
    return adv


def _released(problem: Problem, steps: int, step_size: float) -> Tensor:
    """Steps along slope / max |slope|; the box comes before the ball, into which whole rows are shrunk."""
    x, eps = problem.x, problem.threat.eps
    adv = beside(problem)
    for _ in problem.steps(steps):
        slope = problem.gradient(adv, cross_entropy)
        largest = slope.flatten(1).abs().amax(dim=1).clamp_min(1e-30)
        delta = problem.clip(adv + step_size * slope / geometry.per_row(largest)) - x
        size = delta.flatten(1).abs().amax(dim=1).clamp_min(1e-30)
        adv = x + delta * geometry.per_row((eps / size).clamp_max(1.0))
    return adv


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(dim=1)
