"""What a run looks like while it goes on: a live bar on a terminal, plain lines elsewhere."""

from collections import defaultdict
from contextlib import AbstractContextManager
from types import TracebackType

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from robeval.reports import leaderboard
from robeval.reports.render import terminal
from robeval.run.drive import Outcome
from robeval.run.local import Progress as CellProgress
from robeval.values.cell import Cell, CellFailure, CellResult


class Screen(AbstractContextManager["Screen"]):
    """Shows outcomes and the progress between them.

    Args:
        due: the cells that are not finished yet.
    """

    def __init__(self, console: Console, due: list[Cell]) -> None:
        self._console, self._due = console, due
        self._left: dict[tuple[str, str], int] = defaultdict(int)
        for cell in due:
            self._left[cell.model, cell.attack.id] += 1
        self._tally: dict[tuple[str, str], _Tally] = defaultdict(_Tally)
        self._work = sum(map(_work, due))
        self._done = 0.0
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._live.add_task("starting", total=max(self._work, 1), counts="")
        self._finished = 0
        self._models = list(dict.fromkeys(cell.model for cell in due))
        self._last: dict[str, _Tally] = {}

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def on_progress(self, progress: CellProgress) -> None:
        """Part of a cell is done."""
        self._update(progress.cell, self._done + progress.share * _work(progress.cell))

    def on_outcome(self, outcome: Outcome) -> None:
        """A cell has ended."""
        cell = outcome.cell
        name = cell.model, cell.attack.id
        self._done += _work(cell)
        self._finished += 1
        self._left[name] -= 1
        if isinstance(outcome, CellFailure):
            line = f"{cell.model} {cell.attack.id}: FAILED: {outcome.reason}"
            self._console.print(line, style="red", markup=False, soft_wrap=True)
            return
        self._tally[name].add(outcome)
        self._last[cell.model] = self._tally[name]
        self._update(cell, self._done)
        if not self._left[name]:
            tally = self._tally[name]
            line = f"{cell.model} {cell.attack.id}: {tally}, {tally.seconds:.1f} s"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _update(self, cell: Cell, done: float) -> None:
        place = self._models.index(cell.model) + 1
        counts = f"model {place}/{len(self._models)}, cell {self._finished}/{len(self._due)}"
        self._live.update(
            self._task,
            completed=done,
            description=f"{cell.model} {cell.attack.id}",
            counts=f"{counts}, {self._so_far(cell)}",
        )

    def _so_far(self, cell: Cell) -> str:
        """Samples judged and robust accuracy, of this attack, or of the model's last one while it has none."""
        own, last = self._tally[cell.model, cell.attack.id], self._last.get(cell.model)
        if own.samples:
            return own.short()
        return f"last {last.short()}" if last else f"{cell.slice.stop - cell.slice.start} samples"


class _Tally:
    """What is known so far of one attack on one model."""

    def __init__(self) -> None:
        self.samples, self.robust, self.seconds = 0, 0, 0.0

    def add(self, result: CellResult) -> None:
        self.samples += len(result.verdicts.broken)
        self.robust += int((~result.verdicts.broken).sum())
        self.seconds += result.seconds

    def short(self) -> str:
        """`71.1 % of 602 robust`, or nothing while there are no samples."""
        return f"{100 * self.robust / self.samples:.1f} % of {self.samples} robust" if self.samples else ""

    def __str__(self) -> str:
        return f"{self.robust} of {self.samples} samples robust ({100 * self.robust / self.samples:.2f} %)"


def _work(cell: Cell) -> float:
    """A guess of a cell's cost, in gradient steps on one sample."""
    steps = cell.attack.params.get("steps", 1)
    passes = steps if isinstance(steps, int) else 1
    return float(passes * cell.attack.restarts * (cell.slice.stop - cell.slice.start))


def show_tables(console: Console, results: pd.DataFrame) -> None:
    """Print every suite's table of attacks, and the ranking where there is more than one model."""
    for part in leaderboard.parts(results):
        suite = str(part.suite.iloc[0])
        if part.model.nunique() > 1:
            console.print(terminal.render(leaderboard.ranking(part, suite)))
        console.print(terminal.render(leaderboard.attacks(part, suite)))
        if found := leaderboard.distances(part, suite):
            console.print(terminal.render(found))
