"""Which wrong classes a targeted attack aims at."""

from typing import Literal

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.ops.problem import Problem

Rule = Literal["none", "most_confusing", "least_likely", "random"]


def ranked(logits: Tensor, y: Tensor) -> Tensor:
    """The wrong classes of each row, the one of largest logit first, int64 (n, k - 1); of equals, the lowest first."""
    lowest = torch.finfo(logits.dtype).min
    finite = logits.nan_to_num(nan=lowest, neginf=lowest)
    return finite.scatter(1, y[:, None], -torch.inf).sort(dim=1, descending=True, stable=True).indices[:, :-1]


def how_many(targets: int | None, most: int, classes: int) -> int:
    """How many wrong classes to aim at: so many as given, or else `most` or as many as there are.

    Raises:
        UserError: there are not as many as given.
    """
    wrong = classes - 1
    if targets is not None and targets > wrong:
        found = f"'targets' is {targets}, expected at most {wrong}: {classes} classes have {wrong} wrong ones"
        raise UserError(found, fix=f"Give {wrong} or fewer, or leave 'targets' out.")
    return min(most, wrong) if targets is None else targets


def with_true(y: Tensor, wanted: Tensor) -> Tensor:
    """What targeted losses take: the true and the wanted class of each row, int64 (n, 2)."""
    return torch.stack([y, wanted], dim=1)


def aim(problem: Problem, rule: Rule) -> Tensor | None:
    """True and wanted class of each row, int64 (n, 2), or None for the rule "none". Cost: 1 forward."""
    return None if rule == "none" else with_true(problem.y, choose(problem, rule, problem.logits(problem.x)))


def choose(problem: Problem, rule: Rule, logits: Tensor) -> Tensor:
    """The wanted class of each row by the clean logits, float (n, k), int64 (n,); the rule is not "none".

    `most_confusing` and `least_likely` are the wrong classes of the largest and smallest clean logit (Bilateral
    Adversarial Training, section 3.2); `random` is uniform over the wrong classes.
    """
    order = ranked(logits, problem.y)  # (n, k - 1)
    if rule != "random":
        return order[:, 0 if rule == "most_confusing" else -1]
    share = problem.noise.uniform([1]).double()  # (n, 1)
    place = (share * order.shape[1]).long()
    return order.sort(dim=1).values.gather(1, place).squeeze(1)
