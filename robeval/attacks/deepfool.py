"""DeepFool (Moosavi-Dezfooli et al., 2016, https://arxiv.org/abs/1511.04599)."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from robeval.attacks.registry import attack, never
from robeval.ops import hyperplane
from robeval.ops.geometry import per_row
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.ops.targets import ranked
from robeval.values.parameters import Bound, Count, Share

SHORTEST = 1e-4  # in the norm that is minimised


def _fit_candidates(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """`candidates`, all classes where there are fewer."""
    return {**params, "candidates": min(params["candidates"], classes)}


@attack("deepfool", norms=("linf", "l2"), paper="arXiv:1511.04599", minimal=True, fit=_fit_candidates, draws=never)
def deepfool(
    problem: Problem,
    *,
    steps: Count = 50,
    candidates: Annotated[int, Bound(2)] = 10,
    overshoot: Share = 0.02,
    overshoot_at: Literal["end", "each_step"] = "end",
) -> Tensor:
    """Go to the nearest boundary of the linearised model until the class changes (Algorithm 2; l-inf: section 3.3).

    Deviations: every point is clipped to the pixel box, and no step is shorter than 1e-4, a length that the released
    code adds to each; else the last steps are lost to rounding just before the boundary.
    Measured: never nearer than the exact least distance, and at most 1.0201 times as far on a linear model, 4 times on
    a network of 5 hidden units, plus 1e-4; on a linear model exactly 1 + `overshoot` times (by "each_step" where no
    pixel is clipped), or less where the box cuts what it adds.
    Cost of a row that changes class after t steps: 2t + 1 forwards, t * candidates backwards.

    Parameters:
        steps: at most; the released code's number.
        candidates: the most likely classes of the clean image, the true one among them, of whose boundaries each step
            takes the nearest; the released code's number.
        overshoot: by which share a move is stretched, without unit; the paper's and its code's.
        overshoot_at: "end", as in the paper, walks without overshoot and stretches the whole move each time the model
            is asked whether it is enough; it goes to the boundary that is the nearest inside the pixel box, so that
            linear models are solved exactly there too. "each_step" stretches every step and walks on from there, to
            the boundary that is the nearest without a box: with 100 steps and 0.05 it is the form in the library of the
            TRADES experiments.
    """
    nearest = Nearest(problem)
    clean = problem.logits(problem.x)
    problem.retire(_rows(nearest.see(problem.x, clean)))
    others = ranked(clean, problem.y)[:, : candidates - 1]  # (n, m)
    classes = torch.cat([problem.y[:, None], others], dim=1)
    adv = problem.x
    for _ in problem.steps(steps):
        points = adv if overshoot_at == "end" else None
        (step,) = problem.jacobian(adv, classes, partial(_to_nearest_boundary, problem, classes, points))
        if overshoot_at == "end":
            adv = problem.clip(adv + step)
            shown = problem.clip(problem.x + (1 + overshoot) * (adv - problem.x))
        else:
            adv = shown = problem.clip(adv + (1 + overshoot) * step)
        problem.retire(_rows(nearest.see(shown, problem.logits(shown))))
    return nearest.points


def _to_nearest_boundary(
    problem: Problem, classes: Tensor, points: Tensor | None, rows: Tensor, logits: Tensor, slopes: Tensor
) -> tuple[Tensor]:
    """The least move to where some class equals the first one, were the logits linear, (n, c, h, w).

    Args:
        classes: the true one and its rivals, of all samples, (all, m + 1).
        points: where all samples are, (all, c, h, w), if that boundary is wanted which is the nearest inside the box.
        logits: of these rows, (n, k).
        slopes: of these rows' classes, (n, m + 1, c, h, w).
    """
    logits = logits.gather(1, classes[rows])
    gaps = (logits[:, :1] - logits[:, 1:]).abs().double()  # |f_k|, (n, m)
    normals = slopes[:, 1:] - slopes[:, :1]  # w_k, (n, m, c, h, w)
    norm, box = problem.threat.norm, problem.threat.box
    lengths = problem.norms(normals.flatten(0, 1), "l1" if norm == "linf" else "l2").view_as(gaps)
    ranks = distances = torch.where(gaps.isfinite() & (lengths > 0), gaps / lengths, torch.inf)
    if points is not None:
        inside = hyperplane.lengths(points[rows], normals, -gaps, norm, box)
        ranks = torch.where(inside.isfinite().any(dim=1, keepdim=True), inside, distances)
    nearest, places = ranks.argmin(dim=1), torch.arange(len(rows), device=rows.device)
    length = distances[places, nearest].clamp_min(SHORTEST).nan_to_num(posinf=0.0)
    return (per_row(length).float() * problem.steepest(normals[places, nearest]),)


def _rows(chosen: Tensor) -> Tensor:
    return chosen.nonzero().squeeze(1)
