"""`robeval miniature`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import ends

if TYPE_CHECKING:
    from robeval.cli.miniature_work import Done


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/miniature"),
    show_default=True,
    help="Folder for a ledger of each seed.",
)
@click.option("--page", type=click.Path(path_type=Path), help="Where the page goes.  [default: stdout]")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many: 1, 2, ...")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes, of one thread each.")
@click.option("--only", multiple=True, help="Only models whose name has this word; may be given again.")
def command(out: Path, page: Path | None, seeds: int, workers: int, only: tuple[str, ...]) -> None:
    """Train the models of the papers' tables on the embedded digits, attack them, and check what is expected.

    What OUT has is not computed again. OUT/seed1 is a ledger with the models that `robeval table ID --scale digits
    --out OUT/seed1` shows. Ends with code 1 if an expectation is not met, or something could not be computed; with
    --only, what is expected of models that were not computed does not count.
    """
    from robeval.cli import miniature_cost, miniature_work
    from robeval.reports import miniature as miniatures
    from robeval.whole import write_whole

    miniature, count = miniatures.load(), range(1, seeds + 1)
    with ends.kept(out):
        anew, start = not any(out.glob("seed*")), time.perf_counter()
        todo = miniature_work.tasks(miniature, count, out, only)
        progress = _Progress(len(todo))
        failed = miniature_work.work(todo, workers, progress.listen)
        if anew and not failed and not only:
            miniature_cost.note_wall(out, time.perf_counter() - start, len(todo), workers)
        text, unmet = miniature_work.report(miniature, count, out, only)
    if page:
        write_whole(page, text.encode())
        click.echo(f"Written: {page}")
    else:
        click.echo(text, nl=False)
    if failed or unmet:
        click.echo(f"robeval: {failed} models could not be finished, {unmet} expectations are not met", err=True)
        raise SystemExit(1)


class _Progress:
    """Says on stderr what is done."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total

    def listen(self, done: "Done") -> None:
        """A model is finished, or not."""
        self._done += 1
        ended = done.failure or f"{done.seconds:.0f} s"
        click.echo(f"{self._done}/{self._total} {done.task.name}, seed {done.task.seed}: {ended}", err=True)
