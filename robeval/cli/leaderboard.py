"""`robeval leaderboard`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import options

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("terminal", "csv", "markdown", "latex", "html")


@click.command()
@click.option("--suite", "suites", multiple=True, metavar="SUITE", help="Only this suite; may be given again.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--to", "path", type=click.Path(path_type=Path, dir_okay=False), help="A file, instead of the screen.")
@options.out
def command(suites: tuple[str, ...], form: str, path: Path | None, out: Path) -> None:
    """Rank the models of a ledger, a table for each suite.

    By the worst case over attacks per sample; models that do not differ significantly share a rank. Beside it: every
    attack with its interval, the number of samples, and versions and day. Nothing is computed that the ledger lacks.
    """
    from robeval.errors import UserError, nearest
    from robeval.ledger.store import Ledger
    from robeval.reports import measure
    from robeval.whole import write_whole

    ledger = Ledger(out)
    results = measure.results(ledger, ledger.plans())
    known = list(dict.fromkeys(results.suite))
    if not known:
        fix = f"Make some with `robeval run --suite SUITE --model MODEL --out {out}`."
        raise UserError("there are no results", where=f"ledger {out}", fix=fix)
    for name in suites:
        if name not in known:
            raise UserError(f"there are no results of '{name}'", where=f"ledger {out}", fix=nearest(name, known))
    chosen = results[results.suite.isin(suites or known)]
    if path is None and form == "terminal":
        _print(chosen)
        return
    text = _text(chosen, form)
    if path is None:
        click.echo(text, nl=False)
    else:
        write_whole(path, text.encode())
        click.echo(f"Written: {path}")


def _print(results: "pd.DataFrame") -> None:
    from rich.console import Console

    from robeval.cli.screen import show_tables

    show_tables(Console(highlight=False), results)


def _text(results: "pd.DataFrame", form: str) -> str:
    from robeval.reports import leaderboard
    from robeval.reports.render import csv, html, latex, markdown

    if form == "csv":
        return csv.render(results)
    boards = [leaderboard.board(results, suite) for suite in dict.fromkeys(results.suite)]
    if form == "html":
        return html.page("Leaderboard", boards)
    return "\n".join(map(latex.render if form == "latex" else markdown.render, boards))
