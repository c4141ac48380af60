"""How far the true class leads the others."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from torch import Tensor

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.ops import losses
from robeval.ops.problem import Problem
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Count, NotNegative, Positive


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    for images in ("clean", "adversarial"):
        if images in columns:
            margins = columns[images]
            yield numbers.mean("margin_mean", margins, images)
            yield numbers.median("margin_median", margins, images)
            yield numbers.least("margin_min", margins, images)
            yield numbers.share("accuracy", margins > 0, images)


@measure("margin", about="model", summary=_findings, paper="arXiv:1608.04644", gradients=True)
def margin(
    problem: Problem,
    *,
    eps: NotNegative = 0.0,
    norm: Literal["linf", "l2"] = "linf",
    steps: Count = 20,
    step_size: Positive | None = None,
) -> Columns:
    """z_y - max_{j != y} z_j of each image, clean and, if `eps` is not 0, at the end of PGD on that margin.

    PGD starts at the image and takes `steps` steps of 2.5 eps / steps unless given; the last iterate counts. `accuracy`
    is the share of positive margins; a margin of 0 is none. Cost: `steps` + 2 forwards, `steps` backwards.
    """
    columns = {"clean": _lead(problem, problem.x)}
    if eps:
        points, length = problem.x, step_size or 2.5 * eps / steps
        for _ in problem.steps(steps):
            slope = problem.gradient(points, losses.margin)
            points = problem.project(points + length * problem.steepest(slope))
        columns["adversarial"] = _lead(problem, points)
    return columns


def _lead(problem: Problem, points: Tensor) -> Any:
    return -losses.margin(problem.logits(points).double(), problem.y).cpu().numpy()
