"""A table on the terminal."""

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from robeval.values.table import Table


def render(table: Table) -> Group:
    """Caption, table and notes for a rich console."""
    shown = RichTable(box=box.SIMPLE_HEAD)
    for place, name in enumerate(table.header):
        number = table.is_number(place)
        shown.add_column(Text(name), justify="right" if number else "left", no_wrap=not place, overflow="fold")
    for row in table.rows:
        shown.add_row(*map(Text, row), style="bold" if row[0] == "worst case" else "")
    return Group(Text(f"\n{table.caption}", style="bold"), shown, *(Text(f"  {note}") for note in table.notes))
