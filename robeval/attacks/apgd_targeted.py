"""Targeted Auto-PGD (Croce & Hein, 2020, https://arxiv.org/abs/2003.01690)."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from robeval.attacks.registry import attack
from robeval.errors import UserError
from robeval.ops.auto_pgd import Parity, auto_pgd
from robeval.ops.losses import chosen, settled, too_few_classes
from robeval.ops.problem import Problem
from robeval.ops.targets import how_many, ranked, with_true
from robeval.values.parameters import Count, Share

MOST = 9


def fit(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """How many targets and which loss it is for so many classes."""
    if wrong := too_few_classes(params["loss"], True, classes):
        raise UserError(wrong, fix='Take loss = "difference" or "auto".')
    targets = how_many(params["targets"], MOST, classes)
    return {**params, "loss": settled(params["loss"], True, classes), "targets": targets}


@attack("apgd_targeted", norms=("linf", "l2", "l1"), paper="arXiv:2003.01690", fit=fit)
def apgd_targeted(
    problem: Problem,
    *,
    steps: Count = 100,
    targets: Count | None = None,
    loss: Literal["dlr", "difference", "auto"] = "auto",
    rho: Share = 0.75,
    parity: Parity = "none",
) -> Tensor:
    """APGD towards one wrong class after another, until the image is broken (section 4, the targeted DLR of eq. 7).

    The targets are the wrong classes of largest clean logit, largest first; each has a random start of its own. The
    answer is the last misclassified point of the first run that has one, and where there is none the point of highest
    loss over all targets.
    Cost: 1 forward, and for each target until the image is broken that of `apgd`.

    Parameters:
        steps: for each target; as in AutoAttack.
        targets: how many; 9 unless given, or all there are (AutoAttack: 9, for l1 5).
        loss: "auto" is the targeted DLR, as in AutoAttack, or with 2 or 3 classes its numerator z_t - z_y.
        rho: as in `apgd`.
        parity: as in `apgd`.
    """
    order = ranked(problem.logits(problem.x), problem.y)[:, : MOST if targets is None else targets]
    climb, clock = chosen(loss, targeted=True), problem.steps(steps * order.shape[1])
    adv, value = problem.x.clone(), problem.x.new_full((len(problem.y),), -torch.inf)
    for wanted in order.unbind(dim=1):
        rows = problem.active
        if not len(rows):
            break
        run = auto_pgd(problem, climb, with_true(problem.y, wanted), steps, rho, parity, clock)
        better = rows[(run.broken | (run.value > value))[rows]]
        adv[better], value[better] = run.answer[better], run.value[better]
        problem.retire(rows[run.broken[rows]])
    return adv
