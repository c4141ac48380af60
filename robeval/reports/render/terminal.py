"""A table on the terminal."""

import re
from textwrap import fill

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from robeval.values.table import Table

_NUMBER = re.compile(r"[+-]?\d[\d.,e/%+-]*(?: |$)")  # a formula may begin with one, and is folded
_SHORT = 24  # letters: a number with its interval, or a name


def render(table: Table) -> Group:
    """Caption, table and notes for a rich console. Where it is narrow texts are folded, numbers never."""
    shown = RichTable(box=box.SIMPLE_HEAD)
    for place, name in enumerate(table.header):
        number, whole = table.is_number(place), _is_whole(table, place)
        shown.add_column(
            Text(_folded(table, place) if whole else name),
            justify="right" if number else "left",
            no_wrap=whole,
            overflow="fold",
        )
    for row in table.rows:
        shown.add_row(*map(Text, row), style="bold" if row[0] == "worst case" else "")
    return Group(Text(f"\n{table.caption}", style="bold"), shown, *(Text(f"  {note}") for note in table.notes))


def _folded(table: Table, place: int) -> str:
    """The name of a column that is not folded, itself folded at its words where it is long and wider than the cells."""
    width = max((len(row[place]) for row in table.rows), default=0)
    return fill(table.header[place], max(width, 20), break_long_words=False, break_on_hyphens=False)


def _is_whole(table: Table, place: int) -> bool:
    """Whether a column is not folded: one with numbers, and names in the first."""
    cells = [row[place] for row in table.rows]
    short = all(len(cell) <= _SHORT or " " not in cell for cell in cells)
    return short and (not place or any(map(_NUMBER.match, cells)))
