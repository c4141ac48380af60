"""`robeval crosscheck`."""

from pathlib import Path

import click

from robeval.cli import ends, options

WIDTH = 120


@click.command()
@options.suite
@options.model
@options.checkpoint
@options.out
@click.option("--limit", type=int, default=100, show_default=True, help="Only the first so many samples.")
@options.microbatch
@options.data
@options.sample
@options.data_root
@options.device
@options.seed
def command(
    suite: str,
    model: str,
    checkpoint: Path | None,
    out: Path,
    limit: int,
    microbatch: int | None,
    data: str | None,
    sample: str | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Run the attacks of a suite beside those of other libraries, and print where they agree.

    The libraries attack the same samples and are judged alike. Finished work is kept in the ledger folder, under the
    name of the suite and `_crosscheck`.
    """
    with ends.kept(out):
        from rich.console import Console

        from robeval import api
        from robeval.cli import fetching
        from robeval.cli.session import run_shown
        from robeval.reports import agreement
        from robeval.reports.render import terminal
        from robeval.run.crosscheck import with_references
        from robeval.run.plan import resolved
        from robeval.suites import load as suites

        console = Console(highlight=False)
        # Names of attacks and libraries are easier to read in a long line than in columns of a few letters.
        wide = Console(highlight=False, width=max(console.width, WIDTH))
        asked = resolved(suites.load(suite))
        check = with_references(asked)
        with fetching.shown() as listen:
            given = (data, checkpoint, data_root, device, microbatch, limit, seed, None, sample, listen)
            job = api.prepare(model, check.suite, *given)
        evaluation = run_shown(console, job, out)
        wide.print(terminal.render(agreement.agreement(evaluation.samples, check.pairs, asked.id)))
        wide.print(terminal.render(agreement.costs(evaluation.table, evaluation.samples, check.pairs, asked.id)))
        for line in check.skipped:
            console.print(f"  skipped: {line}", markup=False, soft_wrap=True)
        ends.check(evaluation.failed, out)
