"""`robeval run`."""

from pathlib import Path

import click

from robeval.cli import ends, options


@click.command()
@options.suite
@options.models
@options.checkpoint
@options.out
@options.limit
@options.microbatch
@options.data
@options.sample
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
    data: str | None,
    sample: str | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Attack models with a suite and print their robust accuracy.

    Finished work is kept in the ledger folder: the same command goes on where it was stopped, and run again it
    computes nothing. Beside the cells, the folder gets results.csv and leaderboard.md.
    """
    with ends.kept(out):
        from robeval import api
        from robeval.cli import fetching
        from robeval.cli.session import run_jobs

        with fetching.shown() as listen:
            job = api.prepare(
                list(models), suite, data, checkpoint, data_root, device, microbatch, limit, seed,
                sample=sample, on_fetch=listen,
            )  # fmt: skip
        run_jobs([job], out)
