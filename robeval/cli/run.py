"""`robeval run`."""

from pathlib import Path

import click

from robeval.cli import ends, options


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
    with ends.kept(out):
        from rich.console import Console

        from robeval import api
        from robeval.cli.screen import run_shown, show_tables

        console = Console(highlight=False)
        job = api.prepare(list(models), suite, None, checkpoint, data_root, device, microbatch, limit, seed)
        evaluation = run_shown(console, job, out)
        show_tables(console, evaluation.table)
        console.print(f"Written: {out / 'leaderboard.md'} and {out / 'results.csv'}", markup=False, soft_wrap=True)
        ends.check(evaluation.failed, out)
