"""`robeval data`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from robeval.cli import options

if TYPE_CHECKING:
    from robeval.datasets.registry import Entry

MANY = 100  # blocks of images whose decoding takes long enough for a bar
WIDE = 130  # columns of a screen that has room for what each data set is


@click.group(invoke_without_command=True)
@options.data_root
@click.pass_context
def command(ctx: click.Context, data_root: Path | None) -> None:
    """List the data sets; fetch or verify their files."""
    ctx.obj = data_root
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
@options.data_root
@click.pass_obj
def list_(before: Path | None, data_root: Path | None) -> None:
    """List the data sets, and whether their files are where robeval looks for them."""
    from rich.console import Console

    from robeval.datasets import registry
    from robeval.datasets.files import MissingError
    from robeval.errors import UserError
    from robeval.reports.render import terminal
    from robeval.values.table import Table

    roots = registry.data_roots(data_root or before)

    def found(entry: "Entry", split: str) -> str:
        try:
            return f"{len(registry.load(entry.name, split, roots)):,}" if split in entry.splits else ""
        except MissingError:
            return "not here"
        except UserError:
            return "DAMAGED"

    console = Console(highlight=False)
    wide = console.width >= WIDE
    rows = [
        (entry.name, str(entry.num_classes), found(entry, "train"), found(entry, "test"),
         "yes" if entry.downloads else "", *([entry.summary] if wide else []))
        for entry in registry.catalog().values()
    ]  # fmt: skip
    header = ("data set", "classes", "train", "test", "fetch", *([""] if wide else []))
    notes = (
        *(f"looked in {root}" for root in roots),
        "`robeval data fetch NAME` gets those with a yes;",
        "`robeval data verify NAME` says what is missing or wrong",
    )
    console.print(terminal.render(Table("Data sets", header, tuple(rows), notes)))


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.data_root
@click.pass_obj
def fetch(before: Path | None, names: tuple[str, ...], data_root: Path | None) -> None:
    """Fetch the files of data sets that are not there yet, into --data-root or the cache, and check them."""
    from robeval.cli import fetching
    from robeval.datasets import registry
    from robeval.datasets.fetch import fetch as work

    entries = [registry.find(name, "NAME") for name in names]
    for entry in entries:
        with fetching.shown() as listen:
            came = work(entry, data_root or before, listen)
        for path, sha256 in came:
            click.echo(f"{entry.name}: {path}\n  sha256 {sha256}")
        if not came:
            click.echo(f"{entry.name}: its files are there already")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.data_root
@click.pass_obj
def verify(before: Path | None, names: tuple[str, ...], data_root: Path | None) -> None:
    """Check the files of data sets, of all that are here if none is named: sizes, checksums, counts, every image."""
    from rich.console import Console

    from robeval.datasets import registry
    from robeval.reports.render import terminal
    from robeval.values.table import Table

    roots = registry.data_roots(data_root or before)
    entries = [registry.find(name, "NAME") for name in names] or list(registry.catalog().values())
    checks = [(entry, split, *_verified(entry, split, roots)) for entry in entries for split in entry.splits]
    shown = [check for check in checks if names or check[2] != "not here"]
    rows = [(entry.name, split, verdict, "" if error else said) for entry, split, verdict, said, error in shown]
    header = ("data set", "split", "", "evidence")
    Console(highlight=False).print(terminal.render(Table("Data sets", header, tuple(rows))))
    wrong = [said for *_, said, error in shown if error]
    for message in wrong:
        click.echo(f"robeval: {message}", err=True)
    if wrong:
        raise SystemExit(1)


def _verified(entry: "Entry", split: str, roots: tuple[Path, ...]) -> tuple[str, str, bool]:
    """PASS, FAIL or "not here", what was found, and whether that is an error."""
    from rich.progress import track

    from robeval.datasets import registry
    from robeval.datasets.files import MissingError
    from robeval.errors import UserError

    try:
        found = registry.load(entry.name, split, roots)
        blocks = range(0, len(found), 500)
        low, high = 1.0, 0.0
        for start in track(blocks, f"{entry.name} {split}", transient=True, disable=len(blocks) < MANY):
            x, _ = found.slice(start, min(start + 500, len(found)))
            low, high = min(low, float(x.min())), max(high, float(x.max()))
    except MissingError as error:
        return "not here", str(error), True
    except UserError as error:
        return "FAIL", str(error), True
    expected = entry.sizes[split]
    if expected and len(found) != expected:
        return "FAIL", f"{entry.name} {split}: found {len(found):,} images, expected {expected:,}", True
    shape = "x".join(map(str, found.shape))
    classes = len(set(found.y.tolist()))
    return "PASS", f"all {len(found):,} of {shape}, {low:g} to {high:g}, {classes} classes", False
