"""Box-constrained L-BFGS (Szegedy et al., 2014, https://arxiv.org/abs/1312.6199)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.ops.lockstep import lockstep
from robeval.ops.losses import cross_entropy, towards
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.ops.targets import with_true
from robeval.values.parameters import Count, Weight

Array = NDArray[np.float64]
SCALE = 1e10  # of the objective, so that the optimiser's absolute tolerances never end it
AT_ONCE = 256  # images, each of which has a thread
FINER = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model says about a point: cross-entropy to the wanted class, its slope, and whether it is wrong."""

    value: float
    slope: Array
    broken: bool


@attack("lbfgs", norms=("l2",), paper="arXiv:1312.6199", minimal=True)
def lbfgs(
    problem: Problem,
    *,
    steps: Count = 150,
    memory: Count = 15,
    initial_c: Weight = 2e-5,
    doublings: Count = 30,
    precision: Weight = 1e-5,
    lengths: Count = 1000,
) -> Tensor:
    """Minimise mean((x' - x)^2) + c * cross-entropy(x', t) inside the pixel box by L-BFGS-B (section 4.1).

    c doubles until the result is misclassified, then is bisected; each run starts at the image. The wanted class t is
    the first that a step along the gradient reaches; a random wrong class if none is. The paper's second problem there,
    c * norm(x' - x) + loss(x', t), has the weight on the other term, found by a line search, and t drawn at random; all
    else and the numbers are those of foolbox 1.8. Pixels count as shares of the pixel range. The nearest misclassified
    image that was seen anywhere counts. A row whose logits are NaN or infinite ends there.
    Measured with steps = 30, precision = 0.0001, lengths = 100: never nearer than the exact least distance, and at most
    3 times as far on a linear model, 5 times on a network of 5 hidden units.
    Cost: about (`doublings` + log2(c / `precision`)) * `steps` forwards and backwards at most, with c the last value,
    and 1 to `lengths` + 21 forwards for the class.

    Parameters:
        steps: iterations of L-BFGS-B for each c, at most; foolbox 1.8's.
        memory: corrections that it keeps; foolbox 1.8's.
        initial_c: the first c, in mean squares per nat; foolbox 1.8's.
        doublings: values of c, at most; foolbox 1.8's.
        precision: c is bisected until the bracket is below this; foolbox 1.8's.
        lengths: of the step that finds t, up to the pixel range root-mean-square; 20 finer ones if it is among the
            first 20. Foolbox 1.8's.
    """
    nearest = Nearest(problem)
    clean = problem.logits(problem.x)
    problem.retire(nearest.see(problem.x, clean).nonzero().squeeze(1))
    target = with_true(problem.y, _reached(problem, nearest, lengths, clean.shape[1]))

    def answer(asked: dict[int, Array]) -> dict[int, Seen]:
        rows = torch.tensor(list(asked), device=problem.y.device)
        points = problem.x.clone()
        points[rows] = torch.from_numpy(np.stack(list(asked.values()))).to(points).view_as(points[rows])
        with problem.only(rows):
            logits, values, slopes = problem.ask(points, towards, target)
            broken = nearest.see(points, logits)
            left = problem.active[values[problem.active].isfinite()].tolist()
        slopes_ = slopes.double().flatten(1).cpu().numpy()
        return {row: Seen(-float(values[row]), -slopes_[row], bool(broken[row])) for row in left}

    images = problem.x.double().flatten(1).cpu().numpy()
    search = partial(_search, problem.threat.box, steps, memory, initial_c, doublings, precision)
    pieces = problem.active.split(AT_ONCE)
    for piece in problem.steps(len(pieces)):
        lockstep({row: partial(search, images[row]) for row in pieces[piece].tolist()}, answer)
    return nearest.points


def _search(
    box: tuple[float, float],
    steps: int,
    memory: int,
    c: float,
    doublings: int,
    precision: float,
    image: Array,
    ask: Callable[[Array], Seen],
) -> None:
    """The search for one image; what it finds is noted by whoever answers."""
    low, high = box

    def succeeds(c: float) -> bool:
        def objective(point: Array) -> tuple[float, Array]:
            seen, change = ask(point), (point - image) / (high - low)
            slope = 2 * change / (change.size * (high - low)) + c * seen.slope
            return SCALE * (float(np.mean(change**2)) + c * seen.value), SCALE * slope

        found = fmin_l_bfgs_b(objective, image, bounds=[box] * image.size, m=memory, maxiter=steps)[0]
        return ask(found).broken

    for _ in range(doublings):
        if succeeds(c):
            break
        c *= 2
    else:
        return
    fails = 0.0
    while c - fails >= precision:
        middle = (fails + c) / 2
        fails, c = (fails, middle) if succeeds(middle) else (middle, c)


def _reached(problem: Problem, nearest: Nearest, lengths: int, k: int) -> Tensor:
    """The first wrong class along the gradient of cross-entropy, int64 (n,); where there is none, one at random."""
    place = (problem.noise.uniform([1]).double() * (k - 1)).long().squeeze(1)
    wanted = place + (place >= problem.y)
    slope = problem.gradient(problem.x, cross_entropy)
    size = problem.norms(slope, "l2")
    low, high = problem.threat.box
    pace = (high - low) * math.sqrt(math.prod(slope.shape[1:])) / size.clamp_min(1e-300)
    ray = (slope.double() * pace).float()  # root-mean-square 1

    def first(rows: Tensor, upto: Tensor, count: int) -> Tensor:
        """At which of `count` lengths each row is misclassified first, counted from 1, and `count` + 1 if at none."""
        when = torch.full_like(problem.y, count + 1)
        for index in range(1, count + 1):
            if not len(rows):
                break
            points = problem.clip(problem.x + (upto * (index / count))[:, None, None, None] * ray)
            with problem.only(rows):
                logits = problem.logits(points)
                hit = nearest.see(points, logits)
                rows = problem.active[~hit[problem.active]]
            when[hit], wanted[hit] = index, logits.argmax(dim=1)[hit]
        return when

    moving = problem.active[(size.flatten() > 0)[problem.active]]
    when = first(moving, torch.ones_like(ray[:, 0, 0, 0]), lengths)
    early = problem.active[(when <= FINER)[problem.active]]
    first(early, when / lengths, FINER)
    return wanted
