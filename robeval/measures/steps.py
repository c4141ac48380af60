"""Accuracy against the number of attack steps (Wang & Zhang, 2019, Figure 1), of one run."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from robeval.attacks.pgd import pgd
from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.ops.decisions import misclassified
from robeval.ops.problem import Problem
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Count, NotNegative, Positive


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    wrong = columns["wrong"]  # (n, steps + 1)
    ever = np.logical_or.accumulate(wrong, axis=1)
    for step in range(wrong.shape[1]):
        yield numbers.share("final_accuracy", ~wrong[:, step], f"steps={step}")
        yield numbers.share("any_accuracy", ~ever[:, step], f"steps={step}")


class Trace:
    """A watch that notes of each point the model is asked about whether it is misclassified.

    Attributes:
        wrong: for each point in turn, bool (n,).
    """

    def __init__(self) -> None:
        self.wrong: list[Tensor] = []

    def __call__(self, problem: Problem, rows: Tensor, points: Tensor, logits: Tensor, values: Tensor | None) -> None:
        """Look at one point of every row."""
        self.wrong.append(misclassified(logits, problem.y[rows]))


@measure("steps", about="model", summary=_findings, paper="arXiv:1811.10716", gradients=True)
def accuracy_over_steps(
    problem: Problem,
    *,
    eps: Positive,
    norm: Literal["linf", "l2"] = "linf",
    steps: Count = 100,
    step_size: Positive,
    loss: Literal["ce", "margin"] = "ce",
    kappa: NotNegative | None = None,
    random_start: bool = True,
) -> Columns:
    """Accuracy under PGD with 1, 2, ... `steps` steps, from one run: iterate k is the answer of PGD with k steps.

    `final_accuracy` counts the iterate itself, as papers do; `any_accuracy` a sample only until the first iterate that
    is misclassified, the worst case over steps. Step 0 is the clean image. `first` is the first step at which a sample
    is misclassified, -1 if none is. Parameters are those of the attack `pgd`. Cost: `steps` + 2 forwards, `steps`
    backwards.
    """
    trace = Trace()
    with problem.watched(trace):
        problem.logits(problem.x)
        last = pgd(problem, steps=steps, step_size=step_size, loss=loss, kappa=kappa, random_start=random_start)
        problem.look_again(last)
    clean, _, *iterates = trace.wrong  # the second is the start, no iterate
    wrong = torch.stack([clean, *iterates], dim=1)
    wrong[:, 1:] |= clean[:, None]
    return {
        "wrong": wrong.cpu().numpy(),
        "first": torch.where(wrong.any(dim=1), wrong.int().argmax(dim=1), -1).cpu().numpy(),
    }
