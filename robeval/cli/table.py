"""`robeval table`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robeval.cli import ends
from robeval.cli.table_options import Options, shared
from robeval.values.paper import SCALES, Ask, PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame

    from robeval.reports.compare import Entry
    from robeval.reports.paper_table import Explain

WIDTH = 150
FORMATS = ("terminal", "csv", "markdown", "latex", "html")


class _Tables(click.Group):
    """`robeval table ID` shows a table, as `robeval table show ID` does."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Tables, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """The papers' tables: published numbers beside measured ones. `robeval table ID` shows one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
def list_() -> None:
    """List the tables: printed numbers, how many can be measured, and how many in miniature."""
    from rich.console import Console

    from robeval.reports import papers
    from robeval.reports.render import terminal
    from robeval.values.table import Table

    rows = [(table.id, *(str(count) for count in _counts(table)), table.title) for table in papers.catalog().values()]
    header = ("table", "numbers", "named", "digits", "title")
    notes = (
        "numbers: printed cells; named: those whose model and attack are named; digits: those with a miniature",
        "`robeval table ID` shows one, `--run` computes it, `--scale digits` its miniature",
    )
    Console(highlight=False).print(terminal.render(Table("Published tables", header, tuple(rows), notes)))


def _counts(table: PaperTable) -> tuple[int, ...]:
    cells = table.cells
    printed = sum(bool(cell.published) for cell in cells)
    return printed, *(sum(scale in cell.asks for cell in cells) for scale in SCALES)


@command.command()
@click.argument("table")
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@shared
def show(table: str, form: str, options: Options) -> None:
    """Show TABLE (`robeval table list`, or a TOML file): measured, published, and how they differ.

    Measured numbers come from the ledger folder. A cell that the ledger does not have is "published only", and a
    note says what would make it.
    """
    with ends.kept(options.out):
        from robeval.cli.table_missing import Missing
        from robeval.reports import papers

        paper = papers.load(table)
        failed = _run([paper], options)
        known = _known(paper.asks(options.scale), options.out)
        entries = _comparing(options)(paper, *known, options.scale)
        _print(paper, entries, options.scale, Missing(paper, options), form)
        if not any((options.out / name).is_dir() for name in ("plans", "measures")):
            click.echo(f"robeval: there is no ledger in {options.out}; with --run, the command makes one", err=True)
        ends.check(failed, options.out)


@command.command()
@shared
def page(options: Options) -> None:
    """Print all tables as one Markdown page (docs/results/papers.md), with the cells that have been measured.

    With --run, what is missing at the given scale is computed first, but for what the page says is left out.
    """
    with ends.kept(options.out):
        from robeval.reports import paper_page, papers

        tables = list(papers.catalog().values())
        failed = _run([table.on_the_page(options.scale) for table in tables], options)
        known = _known([ask for table in tables for scale in SCALES for ask in table.asks(scale)], options.out)
        compare = _comparing(options)
        found = {scale: [compare(each, *known, scale) for each in tables] for scale in SCALES}
        click.echo(paper_page.page(tables, found["paper"], found["digits"]), nl=False)
        ends.check(failed, options.out)


def _run(tables: Sequence[PaperTable], options: Options) -> int:
    """Compute what is missing, if that is asked for; the number of failed cells.

    What is done is told on stderr, so that stdout has the tables only.
    """
    if not options.is_run:
        return 0
    from rich.console import Console

    from robeval.cli.table_work import work

    console = Console(stderr=True, highlight=False)
    failed = 0
    for table in tables:
        console.print(f"{table.id}: {table.title}", markup=False, soft_wrap=True)
        failed += work(table, options, console)
    return failed


def _known(asks: Sequence[Ask], out: Path) -> "tuple[DataFrame, list[dict[str, Any]]]":
    """All that the ledger has of some numbers, read once: results of attacks, and rows of measures and transfers."""
    from robeval.ledger.store import Ledger
    from robeval.reports import findings, measure, transfer

    ledger = Ledger(out)
    wanted = {ask.group for ask in asks}
    plans = [plan for plan in ledger.plans() if plan.group in wanted]
    return measure.results(ledger, plans), findings.rows(ledger) + transfer.rows(ledger, plans)


def _comparing(options: Options) -> "Callable[..., list[Entry]]":
    """What compares a table with what is known of it, at a scale."""
    from robeval.cli.table_asks import whole
    from robeval.cli.table_settings import Settings
    from robeval.reports.compare import compare

    about = Settings(options.data_root)
    return partial(compare, whole=lambda ask: whole(ask, options.seed), seed=options.seed, setting=about)


def _print(table: PaperTable, entries: "list[Entry]", scale: str, explain: "Explain", form: str) -> None:
    from rich.console import Console

    from robeval.reports import paper_table
    from robeval.reports.render import csv, html, latex, markdown, terminal

    if form == "csv":
        click.echo(csv.render(paper_table.tidy(table, entries, explain)), nl=False)
        return
    shown = paper_table.comparison(table, entries, scale, explain)
    if form == "terminal":
        screen = Console(highlight=False)
        wide = screen.width if screen.is_terminal else max(screen.width, WIDTH)  # in a file all columns fit
        Console(highlight=False, width=wide).print(terminal.render(shown))
    elif form == "html":
        click.echo(html.page(shown.caption, [shown]), nl=False)
    else:
        click.echo((latex if form == "latex" else markdown).render(shown), nl=False)
