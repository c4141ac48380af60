"""`robeval compare`."""

from pathlib import Path

import click

from robeval.cli import options


@click.command()
@click.argument("one", metavar="MODEL")
@click.argument("other", metavar="OTHER")
@options.out
def command(one: str, other: str, out: Path) -> None:
    """Compare two models sample by sample, in every suite that both have been run with.

    Prints how many samples only one of them withstood, the difference of their robust accuracies with its interval,
    and whether it is more than chance (McNemar's exact test).
    """
    from rich.console import Console

    from robeval.errors import UserError, nearest
    from robeval.ledger.store import Ledger
    from robeval.reports import duel, measure
    from robeval.reports.render import terminal

    ledger = Ledger(out)
    plans = list(ledger.plans())
    known = sorted({plan.model for plan in plans})
    for name in (one, other):
        if name not in known:
            raise UserError(f"there are no results of '{name}'", where=f"ledger {out}", fix=nearest(name, known))
    found = duel.table(measure.boards(ledger, plans), one, other)
    if not found.rows:
        raise UserError(
            f"'{one}' and '{other}' have no complete worst case on the same samples with the same seed",
            where=f"ledger {out}",
            fix=f"Run `robeval run --suite SUITE --model {one} --model {other} --out {out}`.",
        )
    Console(highlight=False).print(terminal.render(found))
