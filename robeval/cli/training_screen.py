"""What a training looks like: a line for each epoch, and within one a live bar, or a line a minute off a terminal."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from robeval.train.log import Epoch

PAUSE = 60.0  # seconds between two lines within an epoch


class _Live(Progress):
    """What is learnt so far, folded where the terminal is narrow, and below it a bar and the time left."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from (Text(task.description) for task in self.tasks)
        yield self.make_tasks_table(self.tasks)


class TrainingScreen(AbstractContextManager["TrainingScreen"]):
    """Shows epochs that are over and the one that goes on."""

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self._live = _Live(
            BarColumn(16),
            TextColumn("{task.percentage:.0f} %,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._live.add_task("starting", total=1.0)
        self._begun: tuple[float, float] | None = None  # when it was first looked at, and the share done then
        self._said = time.monotonic()

    def __enter__(self) -> "TrainingScreen":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def listen(self, epoch: Epoch) -> None:
        """An epoch is over."""
        self._console.print(f"{self._name}: {line(epoch)}", markup=False, soft_wrap=True)
        self._live.update(self._task, completed=epoch.number / epoch.count)

    def glance(self, share: float, epoch: Epoch) -> None:
        """An epoch goes on."""
        self._live.update(self._task, completed=share, description=line(epoch))
        now = time.monotonic()
        self._begun = self._begun or (now, share)
        if not self._console.is_terminal and now - self._said >= PAUSE:
            self._said = now
            text = f"{self._name}: in {line(epoch)}{_left(now - self._begun[0], share - self._begun[1], 1 - share)}"
            self._console.print(text, markup=False, soft_wrap=True)


def _left(seconds: float, done: float, rest: float) -> str:
    """About how long the rest takes; nothing where too little is done to tell."""
    return f", about {seconds * rest / done / 60:.0f} min left" if done > 0 else ""


def line(epoch: Epoch) -> str:
    """An epoch in one line."""
    parts = [f"epoch {epoch.number}/{epoch.count}", f"loss {epoch.loss:.4f}"]
    named = {
        "accuracy": epoch.accuracy,
        "robust": epoch.robust_accuracy,
        "held out": epoch.validation_accuracy,
        "held out, PGD": epoch.validation_robust_accuracy,
    }
    parts += [f"{name} {100 * share:.2f} %" for name, share in named.items() if share is not None]
    return ", ".join([*parts, f"{epoch.images_per_second:.0f} images/s"])
