"""A table on the terminal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from robeval.values.table import Table

_NUMBER = re.compile(r"[+-]?\d[\d.,e/%+-]*(?: |$)")  # a formula may begin with one, and is folded
_MARKS = re.compile(r"(?:\[\d+\])+")
_SHORT = 24  # letters: a number with its interval, or a name
_LONGEST = 32  # letters of a word that is not broken
_LEAST = 8  # letters of the first column, however narrow the terminal
_BETWEEN, _EDGES = 3, 2  # letters that the box takes for each column, and at its edges, which may be left out


def render(table: Table) -> "_Shown":
    """Caption, table and notes for a rich console.

    Where it is narrow texts are folded at their words, numbers never: what is wider then is shown in blocks of columns,
    each with the first one, or two where the first leaves out what it has said.
    """
    return _Shown(table)


@dataclass(frozen=True, slots=True)
class _Shown:
    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"\n{self.table.caption}", style="bold")
        for columns, widths in _blocks(self.table, options.max_width):
            yield _block(self.table, columns, widths, _taken(widths) + _EDGES <= options.max_width)
        yield from (Text(f"  {note}") for note in self.table.notes)


def _block(table: Table, columns: Sequence[int], widths: Sequence[int], edges: bool) -> RichTable:
    """Some columns of the table, so wide."""
    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=edges)
    for place, width in zip(columns, widths):
        name = _folded(table, place) if _is_whole(table, place) else table.header[place]
        shown.add_column(
            Text(name), justify="right" if table.is_number(place) else "left", width=width, overflow="fold"
        )
    for row in table.rows:
        cells = [_marked(row[place], width) for place, width in zip(columns, widths)]
        shown.add_row(*map(Text, cells), style="bold" if row[0] == "worst case" else "")
    return shown


def _blocks(table: Table, room: int) -> list[tuple[list[int], list[int]]]:
    """The columns that stand beside each other, and how wide each is."""
    count = len(table.header)
    if not count:
        return []
    least = [_least(table, place) for place in range(count)]
    if _taken(least) <= room:
        return [(list(range(count)), _spread(table, range(count), least, room))]
    first = list(range(min(2 if any(not row[0] for row in table.rows) else 1, count)))
    found: list[list[int]] = []
    for place in range(len(first), count):
        if not found or _taken([least[each] for each in (*found[-1], place)]) > room:
            found.append([*first])
        found[-1].append(place)
    return [(block, _spread(table, block, [least[each] for each in block], room)) for block in found or [first]]


def _spread(table: Table, columns: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of some columns: what they want, where that is too much less of the widest, but no less than the least."""
    widths, least = [_wanted(table, place) for place in columns], list(least)
    least[0] = max(min(least[0], room - _taken(least) + least[0]), min(_LEAST, least[0]))
    while _taken(widths) + _EDGES > room:
        wide = [place for place, width in enumerate(widths) if width > least[place]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _taken(widths: Sequence[int]) -> int:
    """Letters that a table of such columns takes, without edges."""
    return sum(widths) + _BETWEEN * len(widths) - 1


def _wanted(table: Table, place: int) -> int:
    """The width at which nothing is folded."""
    name = _folded(table, place) if _is_whole(table, place) else table.header[place]
    return max(map(len, [*name.splitlines(), *(row[place] for row in table.rows)]), default=1) or 1


def _least(table: Table, place: int) -> int:
    """The width at which no number and no word is broken."""
    if _is_whole(table, place):
        return _wanted(table, place)
    words = [word for text in (table.header[place], *(row[place] for row in table.rows)) for word in _words(text)]
    return max((min(len(word), _LONGEST) for word in words), default=1)


def _words(text: str) -> list[str]:
    """Between these a text may be folded: words, or the marks of footnotes."""
    return text.replace("][", "] [").split() if _MARKS.fullmatch(text) else text.split()


def _marked(text: str, width: int) -> str:
    """The text; marks of footnotes, between which there is no space, are folded here."""
    if not _MARKS.fullmatch(text):
        return text
    lines = [""]
    for mark in _words(text):
        lines += [""] if lines[-1] and len(lines[-1]) + len(mark) > width else []
        lines[-1] += mark
    return "\n".join(lines)


def _folded(table: Table, place: int) -> str:
    """The name of a column that is not folded, itself folded at its words where it is long and wider than the cells."""
    width = max((len(row[place]) for row in table.rows), default=0)
    return fill(table.header[place], max(width, 20), break_long_words=False, break_on_hyphens=False)


def _is_whole(table: Table, place: int) -> bool:
    """Whether a column is not folded: one with numbers, names in the first, and what has no heading, as verdicts."""
    cells = [row[place] for row in table.rows]
    short = all(len(cell) <= _SHORT or " " not in cell for cell in cells)
    return short and (not place or not table.header[place] or any(map(_NUMBER.match, cells)))
