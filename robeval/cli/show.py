"""`robeval show`: one command for each kind of picture in the catalog, its keywords as options."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robeval.cli import ends, options
from robeval.errors import nearest

if TYPE_CHECKING:
    from robeval.pictures.registry import Entry

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
_split = click.option("--split", help="Which of its splits.  [default: test]")
_suite = click.option(
    "--suite", required=True, metavar="SUITE", help="A suite by name (`robeval suites`), or a TOML file."
)
_run = (options.data, options.checkpoint, options.microbatch, options.data_root, options.device, options.seed)
_rows = (
    click.option("--model", "models", multiple=True, metavar="MODEL", help="Only this model; may be given again."),
    click.option("--suite", metavar="SUITE", help="Only rows of this suite."),
    click.option("--dataset", metavar="DATASET", help="Only rows about this data set."),
    click.option("--split", help="Only rows about this split."),
    click.option("--n", type=int, help="Only rows about so many samples."),
    click.option("--seed", type=int, help="Only rows made with this seed."),
)
_COMMON: Mapping[str, tuple[Option, ...]] = {
    "model": (_model, _dataset, _split, *_run),
    "suite": (_suite, _model, *_run),
    "ledger": _rows,
}


class _Pictures(click.Group):
    """Its commands are the kinds of pictures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from robeval.pictures.registry import catalog

        return list(catalog())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from robeval.pictures.registry import catalog

        known = catalog()
        return _command(known[cmd_name]) if cmd_name in known else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the kinds are listed: help imports nothing heavy, as their names would."""
        with formatter.section("Kinds"):
            formatter.write_text("`robeval show` lists them, and with a KIND and --help what one shows and takes.")

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, Any, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"there is no picture '{args[0]}'. {nearest(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Pictures, invoke_without_command=True, subcommand_metavar="KIND [ARGS]...")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Draw pictures: gradients, adversarial examples, curves, histograms, trade-offs.

    Written as PNG, PDF or SVG, as the name after --to ends. Nothing is measured: what a picture shows of a ledger has
    to be in it. Needs the extra `plot`.
    """
    if ctx.invoked_subcommand is not None:
        return
    from rich.console import Console

    from robeval.pictures.registry import catalog
    from robeval.reports.render import terminal
    from robeval.values.parameters import listed
    from robeval.values.table import Table

    rows = [
        (entry.name, entry.about, ", ".join(name for name, _, _ in listed(entry.function)), entry.short)
        for entry in catalog().values()
    ]
    header = ("kind", "made of", "parameters", "")
    Console(highlight=False).print(terminal.render(Table("Pictures", header, tuple(rows))))


def _command(entry: "Entry") -> click.Command:
    """The command of one kind."""
    from robeval.cli import keywords

    def work(**given: Any) -> None:
        _show(entry, given)

    own: list[Option] = [options.out]
    if entry.about != "ledger":
        own.append(click.option("--sample", default=entry.sample, show_default=True, help=_SAMPLE))
    own += [
        click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help=f"[default: OUT/{entry.name}.png]"),
        click.option("--dpi", type=click.IntRange(50, 1200), default=200, show_default=True, help="Of a PNG."),
    ]
    made = keywords.declared(work, entry.function)
    for option in reversed((*_COMMON[entry.about], *own)):
        made = option(made)
    return click.command(entry.name, help=entry.function.__doc__, short_help=entry.short)(made)


_SAMPLE = "The images: START:STOP, or stratified:N:SEED, in which each class has its share."


def _show(entry: "Entry", given: dict[str, Any]) -> None:
    from robeval.cli import keywords
    from robeval.pictures import draw, show

    out, dpi = given.pop("out"), given.pop("dpi")
    path = given.pop("to") or out / f"{entry.name}.png"
    params, rest = keywords.split(given, entry.function)
    asked = show.Request(**rest)
    with ends.kept(out):
        draw.refuse(path)
        found, notes = show.content(entry.name, params, asked, out)
        draw.write(found, path, dpi)
    for note in notes:
        click.echo(note)
    click.echo(f"Written: {path}")
