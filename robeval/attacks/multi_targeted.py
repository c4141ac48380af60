"""The MultiTargeted attack (Gowal et al., 2019, https://arxiv.org/abs/1910.09338)."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from robeval.attacks.registry import at_its_start, attack
from robeval.ops.losses import TARGETED, margin
from robeval.ops.problem import Problem
from robeval.ops.targets import how_many, ranked, with_true
from robeval.values.parameters import Count, Distance


def fit(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """How many targets there are for so many classes."""
    return {**params, "targets": how_many(params["targets"], classes - 1, classes)}


@attack("multi_targeted", norms=("linf", "l2"), paper="arXiv:1910.09338", fit=fit, draws=at_its_start)
def multi_targeted(
    problem: Problem,
    *,
    steps: Count = 20,
    step_size: Distance | None = None,
    targets: Count | None = None,
    rule: Literal["gowal", "released"] = "gowal",
    random_start: bool = True,
) -> Tensor:
    """PGD towards one wrong class after another, by clean logit.

    Cost per target: `steps` + 1 forwards, `steps` backwards; 1 forward more; "gowal" stops once an image is broken.

    Parameters:
        steps: for each target; as in Yang et al.'s code (https://arxiv.org/abs/2003.02460).
        step_size: in the ball's norm, pixels in [0, 1]; that code's eps / 10 unless given.
        targets: how many classes, likeliest first; all wrong ones unless given, as in the paper.
        rule: "gowal": climb z_t - z_y (section 3; the paper climbs with Adam as well, this with plain steps). An image
            is broken if the last iterate towards any target is; the first such point is the answer, or else that of
            largest margin. "released", as in Yang et al.'s code: climb log p_t, and let only one candidate count, that
            of the largest p_t (in the code minus the clean p_y, the same for every t). The code runs towards y too and
            never takes the result; this does not.
        random_start: begin at a point of the ball and box that is new for each target, as in that code and the paper.
    """
    length = problem.threat.eps / 10 if step_size is None else step_size
    climb = TARGETED["difference" if rule == "gowal" else "ce"]
    order = ranked(problem.logits(problem.x), problem.y)[:, :targets]
    clock = problem.steps(steps * order.shape[1])
    answer, best = problem.x.clone(), problem.x.new_full((len(problem.y),), -torch.inf)
    for wanted in order.unbind(dim=1):
        adv = problem.random_point(clip=True) if random_start else problem.x
        for _ in zip(range(steps), clock):
            slope = problem.gradient(adv, climb, with_true(problem.y, wanted))  # (n, c, h, w)
            adv = problem.project(adv + length * problem.steepest(slope))
        rows = problem.active
        if not len(rows):
            break
        logits = problem.logits(adv)[rows]
        if rule == "gowal":
            value = margin(logits, problem.y[rows])
        else:
            value = logits.log_softmax(dim=1).gather(1, wanted[rows, None]).squeeze(1)
        better = logits.isfinite().all(dim=1) & (value > best[rows])
        answer[rows[better]], best[rows[better]] = adv[rows[better]], value[better]
        if rule == "gowal":
            problem.retire(rows[better & (value > 0)])
    return answer
