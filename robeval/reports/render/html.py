"""Tables as one HTML page that needs nothing else."""

from collections.abc import Iterable
from html import escape

from robeval.values.table import Table

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222; }
table { border-collapse: collapse; margin: 0.5em 0; }
caption { text-align: left; font-weight: bold; padding-bottom: 0.4em; }
th, td { padding: 0.15em 0.8em; text-align: left; }
thead th { border-bottom: 1px solid #222; }
tbody tr:hover { background: #f2f2f2; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
p { margin: 0.1em 0; font-size: 13px; color: #555; max-width: 70em; }
"""


def render(table: Table) -> str:
    """One table and its notes."""
    kinds = [' class="number"' if table.is_number(place) else "" for place in range(len(table.header))]
    lines = ["<table>", f"<caption>{escape(table.caption)}</caption>"]
    lines += ["<thead>", _line("th", table.header, kinds), "</thead>", "<tbody>"]
    lines += [_line("td", row, kinds) for row in table.rows]
    return "\n".join([*lines, "</tbody>", "</table>", *(f"<p>{escape(note)}</p>" for note in table.notes)]) + "\n"


def page(title: str, tables: Iterable[Table]) -> str:
    """A whole page; it loads nothing from anywhere."""
    head = f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>'
    body = "\n".join(map(render, tables))
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}</body>\n</html>\n'


def _line(tag: str, cells: Iterable[str], kinds: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds)) + "</tr>"
