"""What commands do with planned runs: say what is due, show progress, print the tables, name the files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from robeval import api
from robeval.cli import ends
from robeval.cli.screen import Screen, show_tables
from robeval.ledger.store import Ledger
from robeval.run.plan import pending


def run_jobs(jobs: Sequence[api.Job], out: Path) -> None:
    """Run what the ledger in `out` does not have yet; exits with 1 if cells failed."""
    console = Console(highlight=False)
    found = [run_shown(console, job, out) for job in jobs]
    show_tables(console, pd.concat([each.table for each in found], ignore_index=True))
    console.print(f"Written: {out / 'leaderboard.md'} and {out / 'results.csv'}", markup=False, soft_wrap=True)
    ends.check(sum(each.failed for each in found), out)


def run_shown(console: Console, job: api.Job, out: Path, share: api.Share | None = None) -> api.Evaluation:
    """Say what is to be done, and run it while it is shown; `share` as `api.run` takes it."""
    ledger = Ledger(out)
    due = list({cell.key: cell for task in pending(job.plan, ledger) for cell in task.cells}.values())
    for line in (*job.notes, *ledger.notes()):
        console.print(line, markup=False, soft_wrap=True)
    seen = f" with images made on {job.source.id}" if job.source else ""
    cells = f"{len(due)} of {len(job.plan.cells)} cells to run on {job.device}{seen}, into {out}"
    console.print(cells, markup=False, soft_wrap=True)
    with Screen(console, due) as screen:
        return api.run(job, out, screen.on_outcome, screen.on_progress, share)
