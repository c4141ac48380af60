"""HopSkipJumpAttack: along the decision boundary (Chen et al., 2020, https://arxiv.org/abs/1904.02144)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.errors import UserError
from robeval.ops.decisions import misclassified
from robeval.ops.geometry import per_row
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, Positive

# Step sizes that a jump tries, each half of the one before.
JUMPS = 10
# A search along a line halves it at least and at most so often; beyond, float32 images are too coarse.
FEWEST, MOST = 10, 24


def _fit(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """Nothing to fill in.

    Raises:
        UserError: the first normal would take more random points than any may.
    """
    if params["initial_samples"] > params["max_samples"]:
        found = f"'initial_samples' is {params['initial_samples']}, more than 'max_samples', {params['max_samples']}"
        raise UserError(found, fix="Give 'max_samples' the same or more.")
    return params


@attack("hop_skip_jump", norms=("l2", "linf"), paper="arXiv:1904.02144", minimal=True, gradients=False, fit=_fit)
def hop_skip_jump(
    problem: Problem,
    *,
    steps: Count = 40,
    initial_samples: Count = 100,
    max_samples: Count = 10_000,
    gamma: Positive = 1.0,
    tries: Count = 100,
) -> Tensor:
    """Walk along the boundary towards the image, asking for nothing but the predicted class (Algorithm 2).

    From a misclassified image of noise: search the line to the image for the boundary (Algorithm 1), estimate the
    normal there from random points, jump along it by the distance / sqrt(t), halved until misclassified, and search
    again. So that an image's queries do not depend on its neighbours, all starts and 10 lengths of every jump are asked
    for. An image for which every start is classified correctly is given up and stays as it is. Defaults are those of
    the released code but for `tries`.
    Measured with steps = 4: never nearer than the exact least distance, and at most 5 times as far on a linear model,
    25 times on a network of 5 hidden units.
    Cost with d = 784: about 18,300 forwards, 17,145 of them for normals.

    Parameters:
        steps: jumps, t of which have been made.
        initial_samples: random points for the first normal; later ones take this times sqrt(t).
        max_samples: but no more than these.
        gamma: precision of the search in units of d^(-3/2) (l2) or d^(-2) (linf), and width of the random points in
            units of the distance / d.
        tries: images of noise to start from. The released code draws uniform noise up to 10,000 times, until one is
            misclassified; every other one here is darkened.
    """
    nearest = Nearest(problem)
    start = _start(problem, nearest, tries)
    problem.retire(problem.active[~nearest.found[problem.active]])
    boundary = _to_boundary(problem, nearest, start, gamma)
    for step in problem.steps(steps):
        distance = per_row(problem.distance(boundary))
        width = 0.1 if step == 0 else gamma / math.prod(problem.x.shape[1:]) * distance  # delta_t
        samples = min(int(initial_samples * math.sqrt(step + 1)), max_samples)  # B_t
        normal = estimated_normal(problem, boundary, torch.as_tensor(width).to(boundary), samples)
        length = distance / math.sqrt(step + 1)  # xi_t
        outer = _jump(problem, nearest, boundary, problem.steepest(normal), length.to(boundary))
        boundary = _to_boundary(problem, nearest, outer, gamma)
    return nearest.points


def estimated_normal(problem: Problem, boundary: Tensor, width: Tensor, samples: int) -> Tensor:
    """Which way leads out of the true class, from points at `width` around the boundary, float32 (n, c, h, w).

    The average of direction times vote, 1 if misclassified and else -1, with the average vote taken off.
    """
    width = width.clamp_min(1e-30)
    weighted, plain = torch.zeros_like(boundary), torch.zeros_like(boundary)
    votes = torch.zeros(len(boundary), 1, 1, 1, device=boundary.device)
    for _ in range(samples):
        noise = _noise(problem)
        points = problem.clip(boundary + width * (noise / problem.norms(noise, "l2").clamp_min(1e-30)).to(boundary))
        direction = (points - boundary) / width
        vote = per_row(torch.where(misclassified(problem.logits(points), problem.y), 1.0, -1.0))
        weighted += vote * direction
        plain += direction
        votes += vote
    mean = votes / samples
    return (weighted - mean.where(mean.abs() < 1, 0.0) * plain) / samples


def _noise(problem: Problem) -> Tensor:
    """A direction before it is made a unit vector; uniform in a cube where the step is a sign."""
    shape = problem.x.shape[1:]
    return problem.noise.normal(shape) if problem.threat.norm == "l2" else 2 * problem.noise.uniform(shape) - 1


def _start(problem: Problem, nearest: Nearest, tries: int) -> Tensor:
    """The first image of noise that is misclassified; the clean image where none is.

    Every other one is darkened by a random factor, because models give uniform noise one and the same class.
    """
    start, found = problem.x, torch.zeros_like(problem.y, dtype=torch.bool)
    low, high = problem.threat.box
    for attempt in range(tries):
        noise, light = problem.noise.uniform(problem.x.shape[1:]), problem.noise.uniform([1, 1, 1])
        points = low + (high - low) * (noise * light if attempt % 2 else noise)
        first = nearest.see(points, problem.logits(points)) & ~found
        start = torch.where(per_row(first), points, start)
        found |= first
    return start


def _to_boundary(problem: Problem, nearest: Nearest, outer: Tensor, gamma: float) -> Tensor:
    """The point nearest to the image that is misclassified on the way from there to the misclassified `outer`.

    The way is the line for l2, and for l-inf the clipping of all changes to a smaller and smaller size.
    """
    size = math.prod(problem.x.shape[1:])
    precision = gamma / size ** (1.5 if problem.threat.norm == "l2" else 2.0)  # theta
    inner = torch.zeros(len(outer), 1, 1, 1, dtype=torch.float64, device=outer.device)
    whole = torch.ones_like(inner)
    distance = per_row(problem.distance(outer))
    delta = outer.double() - problem.x.double()

    def point(share: Tensor) -> Tensor:
        change = share * delta if problem.threat.norm == "l2" else delta.clamp(-share * distance, share * distance)
        return problem.clip((problem.x.double() + change).to(outer.dtype))

    for _ in range(min(max(math.ceil(-math.log2(precision)), FEWEST), MOST)):
        middle = (inner + whole) / 2
        points = point(middle)
        wrong = per_row(nearest.see(points, problem.logits(points)))
        inner, whole = inner.where(wrong, middle), middle.where(wrong, whole)
    return point(whole)


def _jump(problem: Problem, nearest: Nearest, boundary: Tensor, direction: Tensor, length: Tensor) -> Tensor:
    """The furthest of the points along the direction that is misclassified; the boundary itself if none is."""
    outer, found = boundary, torch.zeros_like(problem.y, dtype=torch.bool)
    for _ in range(JUMPS):
        points = problem.clip(boundary + length * direction)
        first = nearest.see(points, problem.logits(points)) & ~found
        outer = torch.where(per_row(first), points, outer)
        found |= first
        length = length / 2
    return outer
