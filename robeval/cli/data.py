"""`robeval data`."""

from pathlib import Path

import click

from robeval.cli import options


@click.command()
@options.data_root
def command(data_root: Path | None) -> None:
    """List the data sets, and whether their files are where robeval looks for them."""
    from rich.console import Console

    from robeval.datasets import registry
    from robeval.errors import UserError
    from robeval.reports.render import terminal
    from robeval.values.table import Table

    roots = registry.data_roots(data_root)

    def found(name: str, split: str) -> str:
        try:
            return f"{len(registry.load(name, split, roots)):,}"
        except UserError:
            return "not here"

    rows = [
        (entry.name, str(entry.num_classes), ", ".join(f"{split} {found(entry.name, split)}" for split in entry.splits),
         entry.summary)
        for entry in registry.catalog().values()
    ]  # fmt: skip
    looked = tuple(f"looked in {root}" for root in roots)
    table = Table("Data sets", ("data set", "classes", "samples", ""), tuple(rows), looked)
    Console(highlight=False).print(terminal.render(table))
