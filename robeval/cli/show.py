"""`robeval show`: one command for each kind of picture in the catalog, its keywords as options."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robeval.cli import ends, keywords, options

if TYPE_CHECKING:
    from robeval.pictures.registry import Entry

_run = (options.data, options.checkpoint, options.microbatch, options.data_root, options.device, options.seed)
_rows = (
    click.option("--model", "models", multiple=True, metavar="MODEL", help="Only this model; may be given again."),
    click.option("--suite", metavar="SUITE", help="Only rows of this suite."),
    click.option("--dataset", metavar="DATASET", help="Only rows about this data set."),
    click.option("--split", help="Only rows about this split."),
    click.option("--n", type=int, help="Only rows about so many samples."),
    click.option("--seed", type=int, help="Only rows made with this seed."),
)
_COMMON: Mapping[str, tuple[options.Option, ...]] = {
    "model": (options.models, options.dataset, options.split, *_run),
    "suite": (options.suite, options.models, *_run),
    "ledger": _rows,
}


class _Pictures(keywords.Entries):
    """Its commands are the kinds of pictures."""

    kind = "picture"

    def entries(self) -> "Mapping[str, Entry]":
        from robeval.pictures.registry import catalog

        return catalog()

    def made(self, entry: "Entry") -> click.Command:
        to = click.option(
            "--to", type=click.Path(path_type=Path, dir_okay=False), help=f"[default: OUT/{entry.name}.png]"
        )
        own = [options.out, to, _dpi]
        if entry.about != "ledger":
            own.append(click.option("--sample", default=entry.sample, show_default=True, help=_SAMPLE))
        return keywords.command(entry, _show, (*_COMMON[entry.about], *own))


@click.group(cls=_Pictures, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Draw pictures: gradients, adversarial examples, curves, histograms, trade-offs.

    Written as PNG, PDF or SVG, as the name after --to ends. Nothing is measured: what a picture shows of a ledger has
    to be in it. Needs the extra `plot`.
    """
    if ctx.invoked_subcommand is None and isinstance(ctx.command, _Pictures):
        ctx.command.show()


_dpi = click.option("--dpi", type=click.IntRange(50, 1200), default=200, show_default=True, help="Of a PNG.")
_SAMPLE = "The images: START:STOP, or stratified:N:SEED, in which each class has its share."


def _show(entry: "Entry", given: dict[str, Any]) -> None:
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
