"""What a training looks like while it goes on: a live bar on a terminal, and a line for each epoch."""

from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from robeval.train.log import Epoch


class TrainingScreen(AbstractContextManager["TrainingScreen"]):
    """Shows epochs that are over and the one that goes on."""

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(16),
            TextColumn("{task.percentage:.0f} %,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._live.add_task("starting", total=1.0)

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
