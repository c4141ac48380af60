"""`robeval measure`: one command for each measure in the catalog, its keywords as options."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robeval.cli import ends, options
from robeval.errors import nearest

if TYPE_CHECKING:
    from rich.console import Console

    from robeval import api
    from robeval.measures.registry import Entry

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

_model = click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="A model by name (`robeval zoo`), a card's TOML file, or package.module:factory; may be given again.",
)
_dataset = click.option(
    "--dataset", metavar="DATASET", help="A data set by name (`robeval data`); else the card's own."
)
_split = click.option("--split", default="test", show_default=True, help="Which of its splits.")
_suite = click.option(
    "--suite", required=True, metavar="SUITE", help="A suite by name (`robeval suites`), or a TOML file."
)
_run = (options.limit, options.microbatch, options.data_root, options.device, options.seed)
_COMMON: Mapping[str, tuple[Option, ...]] = {
    "model": (_model, _dataset, _split, options.checkpoint, options.out, *_run),
    "data": (_dataset, _split, options.out, options.limit, options.data_root),
    "verdicts": (_suite, _model, options.checkpoint, options.out, *_run),
    "theory": (options.out, options.seed),
}


class _Measures(click.Group):
    """Its commands are the measures; those of theory are commands of `theory`."""

    theory = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        from robeval.measures.registry import catalog

        names = [name for name, entry in catalog().items() if (entry.about == "theory") == self.theory]
        return names if self.theory else [*names, "theory"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from robeval.measures.registry import catalog

        if cmd_name == "theory" and not self.theory:
            return theory
        return _command(catalog()[cmd_name]) if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the measures are listed: help imports nothing heavy, as their names would."""
        with formatter.section("Measures"):
            formatter.write_text(f"`{ctx.command_path}` lists them, and with a NAME and --help what one is and takes.")

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"there is no measure '{args[0]}'. {nearest(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


class _Theory(_Measures):
    theory = True


@click.group(cls=_Measures, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Measure models, data and theorems beside robust accuracy.

    Answers are kept in the ledger folder, with their 95 % intervals where they have any: the same command goes on where
    it was stopped, and run again it computes nothing. The folder gets measures.csv and measures.md.
    """
    if ctx.invoked_subcommand is None:
        _list(
            ctx, ("theory", "theory", "", "Examples and theorems of the papers: `robeval measure theory` lists them.")
        )


@click.group(cls=_Theory, invoke_without_command=True)
@click.pass_context
def theory(ctx: click.Context) -> None:
    """Examples and theorems of the papers: closed forms beside simulations."""
    if ctx.invoked_subcommand is None:
        _list(ctx)


def _list(ctx: click.Context, *more: tuple[str, ...]) -> None:
    """Print the measures that are commands of a group."""
    from rich.console import Console

    from robeval.measures.registry import catalog
    from robeval.reports.render import terminal
    from robeval.values.parameters import listed
    from robeval.values.table import Table

    group = ctx.command
    names = group.list_commands(ctx) if isinstance(group, click.Group) else []
    entries = [entry for name, entry in catalog().items() if name in names]
    rows = [
        (entry.name, entry.about, ", ".join(name for name, _, _ in listed(entry.function)), entry.short)
        for entry in entries
    ]
    header = ("measure", "about", "parameters", "")
    Console(highlight=False).print(terminal.render(Table("Measures", header, (*rows, *more))))


def _command(entry: "Entry") -> click.Command:
    """The command of one measure."""
    from robeval.cli import keywords

    def work(**given: Any) -> None:
        _measure(entry, given)

    made = keywords.declared(work, entry.function)
    for option in reversed(_COMMON[entry.about]):
        made = option(made)
    return click.command(entry.name, help=entry.function.__doc__, short_help=entry.short)(made)


def _measure(entry: "Entry", given: dict[str, Any]) -> None:
    out: Path = given.pop("out")
    with ends.kept(out):
        from rich.console import Console

        from robeval import measuring
        from robeval.cli import keywords
        from robeval.reports import findings
        from robeval.reports.render import terminal

        params, rest = keywords.split(given, entry.function)
        console = Console(highlight=False)
        if models := rest.pop("models", None):
            rest["model"] = list(models)
        with console.status("") as status:

            def listen(question: Any, share: float) -> None:
                status.update(f"{question.measure} of {question.subject}: {100 * share:.0f} %")

            def attack(job: "api.Job", folder: Path) -> "api.Evaluation":
                status.stop()
                return _attacked(console, job, folder)

            found = measuring.run(entry.name, params, measuring.Request(**rest), out, attack, listen)
        for note in found.notes:
            console.print(note, markup=False, soft_wrap=True)
        for table in findings.tables(found.table):
            console.print(terminal.render(table))
        console.print(f"Written: {out / 'measures.md'} and {out / 'measures.csv'}", markup=False, soft_wrap=True)


def _attacked(console: "Console", job: "api.Job", out: Path) -> "api.Evaluation":
    """Run the suite of a measure of verdicts; exits with 1 if cells failed."""
    from robeval.cli.session import run_shown

    found = run_shown(console, job, out)
    ends.check(found.failed, out)
    return found
