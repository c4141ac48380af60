"""What a download looks like: a live bar on a terminal, one plain line elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from robeval.fetch.download import Listen


@contextmanager
def shown() -> Iterator["Listen"]:
    """Something to tell the progress of downloads to."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = TextColumn("{task.description}", markup=False), BarColumn(16), DownloadColumn(), TimeRemainingColumn()
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def listen(name: str, done: int, total: int | None) -> None:
            if name not in bars:
                bars[name] = progress.add_task(f"fetching {name}", total=None)
                if not console.is_terminal:
                    click.echo(f"fetching {name}", err=True)
            progress.update(bars[name], completed=done, total=total)

        yield listen
