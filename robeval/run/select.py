"""Which of the points an attack visits is its answer: the last, the one of highest loss, or any that is broken."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from robeval.ops import geometry
from robeval.ops.microbatch import by_row
from robeval.ops.problem import Problem, Watch
from robeval.values.attack import Select

Confirm = Callable[[Problem, Tensor, Tensor], Tensor]


class Selector(Watch, Protocol):
    """A watch that has an answer in the end."""

    def chosen(self, problem: Problem, last: Tensor) -> Tensor:
        """The candidates, given the attack's last iterate."""
        ...


def selector(select: Select, confirm: Confirm, transfer: bool = False) -> Selector | None:
    """The selector of that name.

    Args:
        confirm: asks the judge whether points of some rows are broken.
        transfer: the judge asks another model than the attack does.
    """
    if select == "any":
        return AnyIterate(confirm, transfer)
    return BestLoss() if select == "best" else None


class AnyIterate:
    """Keeps the first point of each row that the judge calls broken, and retires the row.

    The judge is asked about points that the attack's own logits call broken; in a transfer about all.
    """

    def __init__(self, confirm: Confirm, transfer: bool) -> None:
        self._confirm, self._transfer = confirm, transfer
        self._found: list[tuple[Tensor, Tensor]] = []

    def __call__(self, problem: Problem, rows: Tensor, points: Tensor, logits: Tensor, values: Tensor | None) -> None:
        """Look at the points of some rows."""
        hits = (logits.argmax(dim=1) != problem.y[rows]) | self._transfer
        if not hits.any():
            return
        rows, points = rows[hits], points[hits]
        broken = self._confirm(problem, rows, points)
        self._found.append((rows[broken], points[broken]))
        problem.retire(rows[broken])

    def chosen(self, problem: Problem, last: Tensor) -> Tensor:
        """The broken points, and the last iterate of the other rows."""
        answer = last.clone()
        for rows, points in self._found:
            answer[rows] = points
        return answer


class BestLoss:
    """Keeps the point inside ball and box at which the attack's own loss was highest."""

    def __init__(self) -> None:
        self._best: tuple[Tensor, Tensor] | None = None  # value and point of each row

    def __call__(self, problem: Problem, rows: Tensor, points: Tensor, logits: Tensor, values: Tensor | None) -> None:
        """Look at the points of some rows; those without a loss value are passed over."""
        if values is None:
            return
        if self._best is None:
            self._best = values.new_full((len(problem.y),), -torch.inf), problem.x.clone()
        best, kept = self._best
        inside = by_row(lambda p, x: geometry.inside(p, x, problem.threat), geometry.ROWS, points, problem.x[rows])
        better = inside & (values > best[rows])
        best[rows[better]] = values[better]
        kept[rows[better]] = points[better]

    def chosen(self, problem: Problem, last: Tensor) -> Tensor:
        """The best points, the last iterate among them; the last iterate if no loss was ever asked for."""
        problem.look_again(last)
        return last if self._best is None else self._best[1]
