"""Input gradients of the loss on clean images (Wang & Zhang, 2019, Table 2, https://arxiv.org/abs/1811.10716)."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.ops.geometry import norms
from robeval.ops.problem import Problem
from robeval.values.measurement import Columns, Finding

# One unit of each scale in units of [0, 1].
SCALES = {"unit": 1.0, "signed": 0.5, "bytes": 1 / 255}


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    correct = columns["correct"]
    for group, rows in (("all", correct | True), ("correct", correct), ("wrong", ~correct)):
        squared = columns["squared_norm"][rows]
        yield numbers.least("squared_norm_min", squared, group)
        yield numbers.mean("squared_norm_mean", squared, group)
        yield numbers.largest("squared_norm_max", squared, group)
        yield numbers.median("squared_norm_median", squared, group)
        yield numbers.mean("zero_share", columns["zero_share"][rows], group)
        yield numbers.share("all_zero", columns["zero_share"][rows] == 1, group)


@measure("gradients", about="model", summary=_findings, paper="arXiv:1811.10716", gradients=True)
def gradients(problem: Problem, *, scale: Literal["unit", "signed", "bytes"] = "unit") -> Columns:
    """The squared l2 norm of each clean image's gradient of its own cross-entropy, and how sparse it is.

    Minimum, mean, maximum and median over all, the correctly and the wrongly classified images; `zero_share` is the
    share of pixels whose slope is exactly 0, and `all_zero` that of images without any slope: a network that hides its
    gradients shows there. `scale` says in which units pixels are: [0, 1] (`unit`), [-1, 1] as in the paper (`signed`,
    a quarter of the number) or [0, 255] (`bytes`). Cost: 1 forward, 1 backward.
    """
    logits, _, slope = problem.ask(problem.x, steady_cross_entropy)
    squared = norms(slope, "l2").square() * SCALES[scale] ** 2
    return {
        "squared_norm": squared.cpu().numpy(),
        "zero_share": (slope == 0).flatten(1).double().mean(dim=1).cpu().numpy(),
        "correct": (logits.argmax(dim=1) == problem.y).cpu().numpy(),
    }


def steady_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-log softmax(logits)_target, whose slope keeps its digits where the probability rounds to 1.

    It is log(1 + exp(m)) of the lead m = log sum_{j != y} exp(z_j) - z_y; no 1 is taken from a number close to it.
    """
    others = logits.scatter(1, target[:, None], -torch.inf)
    lead = torch.logsumexp(others, dim=1) - logits.gather(1, target[:, None]).squeeze(1)
    return F.softplus(lead)
