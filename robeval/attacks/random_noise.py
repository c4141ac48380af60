"""Random points of the ball, the weakest adversary there is (https://arxiv.org/abs/1802.00420, section 3.1)."""

import math
from typing import Literal

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.decisions import misclassified
from robeval.ops.problem import Problem
from robeval.values.parameters import Count


@attack("random_noise", norms=("linf", "l2", "l1"), paper="arXiv:1802.00420", gradients=False)
def random_noise(problem: Problem, *, draws: Literal["uniform", "corner"] = "uniform", tries: Count = 100) -> Tensor:
    """Draw `tries` points and keep the first that is misclassified; a model it breaks better than PGD masks gradients.

    The drawn points are projected onto the pixel box.
    Cost: at most `tries` forwards; none after success.

    Parameters:
        draws: "uniform" in the ball, or as far out as it goes ("corner"): a corner of the l-inf ball, a point of the l2
            sphere, or one pixel changed by all of eps (l1). Our choice.
        tries: how many points; 100, our choice, is a smoke test, and Athalye et al. (2018) speak of 10^5.
    """
    adv = problem.x
    for _ in problem.steps(tries):
        rows = problem.active
        points = problem.random_point(clip=True) if draws == "uniform" else _corner(problem)
        logits = problem.logits(points)
        adv = adv.index_copy(0, rows, points[rows])
        problem.retire(rows[misclassified(logits, problem.y)[rows]])
    return adv


def _corner(problem: Problem) -> Tensor:
    """A random vertex of the l-inf or l1 ball or point of the l2 sphere, projected."""
    x, eps, shape = problem.x, problem.threat.eps, problem.x.shape[1:]
    if problem.threat.norm == "linf":
        direction = torch.where(problem.noise.uniform(shape) < 0.5, -1.0, 1.0)
    elif problem.threat.norm == "l2":
        direction = problem.noise.normal(shape)
        direction = direction.double() / problem.norms(direction, "l2").clamp_min(1e-300)
    else:
        place, sign = problem.noise.uniform([2]).double().unbind(1)
        pixel = (place * math.prod(shape)).long()[:, None]
        flat = torch.zeros_like(x).flatten(1)
        direction = flat.scatter(1, pixel, torch.where(sign < 0.5, -1.0, 1.0)[:, None].to(x)).view_as(x)
    return problem.project((x + eps * direction).to(x.dtype))
