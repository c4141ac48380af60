"""How tight the bound of TRADES is (Zhang et al., 2019, Theorem 3.1 and Table 3, https://arxiv.org/abs/1901.08573)."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from torch import Tensor

from robeval.errors import UserError
from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.ops.problem import Problem
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Count, Positive


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    surrogate, change, robust = (columns[name] for name in ("surrogate", "change", "robust"))
    yield numbers.share("robust_accuracy", robust)
    yield numbers.mean("surrogate_risk", surrogate)
    yield numbers.mean("change_risk", change)
    yield numbers.mean("delta", surrogate + change - ~robust)


@measure("bound", about="model", summary=_findings, paper="arXiv:1901.08573", gradients=True)
def bound(
    problem: Problem,
    *,
    eps: Positive,
    norm: Literal["linf", "l2"] = "linf",
    steps: Count = 20,
    step_size: Positive | None = None,
    divisor: Positive = 5.0,
) -> Columns:
    """Both sides of R_rob - R*_nat <= R_phi - R*_phi + E max phi(f(X') f(X) / divisor), phi the hinge, of two classes.

    f is the score of the second class over the first, y is -1 or 1, and both R* are taken as 0. `surrogate_risk` is
    R_phi, the mean of max(1 - y f(x), 0), `change_risk` the last term, `delta` the right side less the left. The inner
    maximum is sought by PGD, which makes f(x') f(x) small; its last iterate x' decides about `robust_accuracy` too, so
    that is no less than the truth, and the last term no more. `divisor` is the paper's lambda. Steps are of 2.5 eps /
    `steps` unless given. Cost: `steps` + 2 forwards, `steps` backwards.

    Raises:
        UserError: there are not two classes.
    """
    clean = _score(problem.logits(problem.x))
    y = 2 * problem.y - 1
    points, length = problem.x, step_size or 2.5 * eps / steps
    for _ in problem.steps(steps):
        slope = problem.gradient(points, lambda logits, f: -_score(logits) * f, clean)
        points = problem.project(points + length * problem.steepest(slope))
    moved = _score(problem.logits(points))
    change = _hinge(moved * clean / divisor).maximum(_hinge(clean * clean / divisor))
    columns = {
        "surrogate": _hinge(y * clean).double(),
        "change": change.double(),
        "robust": (y * clean > 0) & (y * moved > 0),
    }
    return {name: column.cpu().numpy() for name, column in columns.items()}


def _score(logits: Tensor) -> Tensor:
    if logits.shape[1] != 2:
        found = f"it is about two classes, but the model has {logits.shape[1]}"
        raise UserError(found, where="measure 'bound'", fix="Give a model of two classes, as of `mnist_1_3`.")
    return logits[:, 1] - logits[:, 0]


def _hinge(margin: Tensor) -> Tensor:
    return (1 - margin).clamp_min(0)
