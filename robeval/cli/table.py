"""`robeval table`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import ends, options
from robeval.values.paper import SCALES, PaperTable

if TYPE_CHECKING:
    from robeval.reports.compare import Entry
    from robeval.reports.paper_table import Explain

WIDTH = 120
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


def _shared(function: Callable[..., None]) -> Callable[..., None]:
    """The options of both commands below."""
    sizes = "The paper's own data and networks, or the embedded digits in miniature."
    own = (
        click.option("--scale", type=click.Choice(SCALES), default="paper", show_default=True, help=sizes),
        click.option("--run", "is_run", is_flag=True, help="First compute what is missing and can be computed."),
    )
    common = options.out, options.limit, options.microbatch, options.data_root, options.device, options.seed
    for option in reversed((*own, *common)):
        function = option(function)
    return function


@command.command()
@click.argument("table")
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@_shared
def show(
    table: str,
    form: str,
    scale: str,
    is_run: bool,
    out: Path,
    limit: int | None,
    microbatch: int | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Show TABLE (`robeval table list`, or a TOML file): measured, published, and how they differ.

    Measured numbers come from the ledger folder. A cell that the ledger does not have is "published only", and a
    note says what would make it.
    """
    with ends.kept(out):
        from robeval.reports import papers

        paper = papers.load(table)
        failed = _run([paper], scale, out, limit, microbatch, data_root, device, seed) if is_run else 0
        explain, entries = _compared(paper, scale, out, data_root)
        _print(paper, entries, scale, explain, form)
        if not (out / "plans").is_dir():
            click.echo(f"robeval: there is no ledger in {out}; with --run, the command makes one", err=True)
        ends.check(failed, out)


@command.command()
@_shared
def page(
    scale: str,
    is_run: bool,
    out: Path,
    limit: int | None,
    microbatch: int | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> None:
    """Print all tables as one Markdown page (docs/results/papers.md), with the cells that have been measured.

    With --run, what is missing at the given scale is computed first.
    """
    with ends.kept(out):
        from robeval.reports import paper_page, papers

        tables = list(papers.catalog().values())
        failed = _run(tables, scale, out, limit, microbatch, data_root, device, seed) if is_run else 0
        found = {size: [_compared(each, size, out, data_root)[1] for each in tables] for size in SCALES}
        click.echo(paper_page.page(tables, found["paper"], found["digits"]), nl=False)
        ends.check(failed, out)


def _run(
    tables: Sequence[PaperTable],
    scale: str,
    out: Path,
    limit: int | None,
    microbatch: int | None,
    data_root: Path | None,
    device: str,
    seed: int,
) -> int:
    """Compute what is missing, told on stderr, so that stdout has the tables only; the number of failed cells."""
    from rich.console import Console

    from robeval.cli.table_work import Options, work

    how = Options(out, limit, microbatch, data_root, device, seed)
    console = Console(stderr=True, highlight=False)
    failed = 0
    for table in tables:
        console.print(f"{table.id}: {table.title}", markup=False, soft_wrap=True)
        failed += work(table, scale, how, console)
    return failed


def _compared(table: PaperTable, scale: str, out: Path, data_root: Path | None) -> "tuple[Explain, list[Entry]]":
    """What the ledger has of the table, and who says what is missing."""
    from robeval.cli.table_missing import Missing
    from robeval.ledger.store import Ledger
    from robeval.reports import findings, measure
    from robeval.reports.compare import compare

    ledger = Ledger(out)
    wanted = {ask.group for ask in table.asks(scale)}
    results = measure.results(ledger, [plan for plan in ledger.plans() if plan.group in wanted])
    entries = compare(table, results, findings.rows(ledger), scale)
    return Missing(table, scale, out, data_root), entries


def _print(table: PaperTable, entries: "list[Entry]", scale: str, explain: "Explain", form: str) -> None:
    from rich.console import Console

    from robeval.reports import paper_table
    from robeval.reports.render import csv, html, latex, markdown, terminal

    if form == "csv":
        click.echo(csv.render(paper_table.tidy(table, entries, explain)), nl=False)
        return
    shown = paper_table.comparison(table, entries, scale, explain)
    if form == "terminal":
        wide = max(Console().width, WIDTH)  # long lines are easier to read than columns of one letter
        Console(highlight=False, width=wide).print(terminal.render(shown))
    elif form == "html":
        click.echo(html.page(shown.caption, [shown]), nl=False)
    else:
        click.echo((latex if form == "latex" else markdown).render(shown), nl=False)
