"""A table as Markdown."""

from collections.abc import Iterable

from robeval.values.table import Table


def render(table: Table) -> str:
    """Caption, a pipe table with numbers to the right, and notes."""
    rule = ["--:" if table.is_number(column) else ":--" for column in range(len(table.header))]
    lines = [_line(table.header), _line(rule), *map(_line, table.rows)]
    notes = [f"\n{note.replace('|', '/')}" for note in table.notes]
    return "\n".join([f"**{table.caption}**", "", *lines, *notes]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
