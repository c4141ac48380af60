"""`robeval run`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from robeval.cli import options


@click.command()
@click.option("--suite", required=True, metavar="SUITE", help="A suite by name (`robeval suites`), or a TOML file.")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="A model by name (`robeval zoo`), or a card's TOML file; give it again for more models.",
)
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="Weights for the model, instead of the card's file."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Ledger folder.")
@click.option("--limit", type=int, help="Only the first so many samples.")
@click.option("--microbatch", type=int, help="Batch shape in rows; chosen by a short probe if not given.")
@options.data_root
@options.device
@options.seed
def command(
    suite: str,
    models: tuple[str, ...],
    checkpoint: Path | None,
    out: Path,
    limit: int | None,
    microbatch: int | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Attack models with a suite and print their robust accuracy.

    Finished work is kept in the ledger folder: the same command goes on where it was stopped, and run again it
    computes nothing. Beside the cells, the folder gets results.csv and leaderboard.md.
    """
    with _kept(out):
        from rich.console import Console

        from robeval import api
        from robeval.cli.screen import Screen, show_tables
        from robeval.ledger.store import Ledger
        from robeval.run.plan import pending

        console = Console(highlight=False)
        job = api.prepare(list(models), suite, None, checkpoint, data_root, device, microbatch, limit, seed)
        ledger = Ledger(out)
        due = list({cell.key: cell for task in pending(job.plan, ledger) for cell in task.cells}.values())
        for line in (*job.notes, *ledger.notes()):
            console.print(line, markup=False, soft_wrap=True)
        cells = f"{len(due)} of {len(job.plan.cells)} cells to run on {job.device}, into {out}"
        console.print(cells, markup=False, soft_wrap=True)
        with Screen(console, due) as screen:
            evaluation = api.run(job, out, screen.on_outcome, screen.on_progress)
        show_tables(console, evaluation.table)
        console.print(f"Written: {out / 'leaderboard.md'} and {out / 'results.csv'}", markup=False, soft_wrap=True)
        if evaluation.failed:
            click.echo(f"robeval: {evaluation.failed} cells failed; the reasons are in {out / 'failures'}", err=True)
            raise SystemExit(1)


@contextmanager
def _kept(out: Path) -> Iterator[None]:
    """Say on Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort(f"Finished cells are kept in {out}; the same command goes on from there.") from None
