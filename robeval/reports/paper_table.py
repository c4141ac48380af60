"""What is shown of a published table beside a ledger."""

import math
from collections.abc import Callable, Sequence

import pandas as pd

from robeval.reports.compare import DIFFERS, Entry, order
from robeval.values.paper import PaperCell, PaperTable
from robeval.values.table import Table

NONE = "–"
_ROUNDING = 1e-12

Explain = Callable[[Entry], str]

COLUMNS = (
    "table", "row", "column", "reading", "model", "suite", "attack", "source", "metric", "unit",
    "published", "measured", "ci_low", "ci_high", "n", "difference", "verdict", "note", "missing",
)  # fmt: skip


def comparison(
    table: PaperTable, entries: Sequence[Entry], scale: str, explain: Explain, of: int | None = None
) -> Table:
    """One line per cell: measured, published, their difference, what to make of it, and the causes below.

    Args:
        explain: says of a cell without a measured number what is missing.
        of: how many cells the table has, if not all are given.
    """
    foot = _Footnotes()
    rows, last = [], ""
    for cell, found in _by_cell(entries):
        known = [entry for entry in found.values() if entry.found]
        missing = [explain(entry) for entry in found.values() if not entry.found]
        refs = foot.add([*cell.notes, *([] if known else missing)])
        label = "" if cell.row == last else cell.row
        last = cell.row
        published = f"{cell.published or NONE}{f' ± {cell.spread}' if cell.spread else ''}"
        parts = [part for name in table.readings for part in _reading(found.get(name))]
        if not known:
            parts = [NONE, NONE, found[next(iter(found))].verdict] + [NONE] * (len(parts) - 3)
        rows.append((label, cell.column, published, *parts, _count(known), refs))
    header = [word for name in table.readings for word in (name or "measured", "diff.", "")]
    where = ", in miniature on the digits data set" if scale == "digits" else ""
    caption = f"{table.id}: {table.title}{where}; measured with 95 % intervals"
    notes = (*_notes(table, entries, scale, of), *foot.lines)
    return Table(caption, ("row", "cell", "published", *header, "n", "notes"), tuple(rows), notes)


def _by_cell(entries: Sequence[Entry]) -> list[tuple[PaperCell, dict[str, Entry]]]:
    """The cells in order, and each one's readings."""
    cells: dict[tuple[str, str], dict[str, Entry]] = {}
    for entry in entries:
        cells.setdefault((entry.cell.row, entry.cell.column), {})[entry.reading] = entry
    return [(next(iter(found.values())).cell, found) for found in cells.values()]


def _reading(entry: Entry | None) -> tuple[str, str, str]:
    """Measured, difference and verdict in one reading, which a cell may not have."""
    return (NONE, NONE, NONE) if entry is None else (_measured(entry), _difference(entry), entry.verdict)


def tidy(table: PaperTable, entries: Sequence[Entry], explain: Explain) -> pd.DataFrame:
    """One row per cell and reading, numbers in full precision."""
    rows = []
    for entry in entries:
        cell, ask, found = entry.cell, entry.ask, entry.found
        where = [ask.model, ask.suite, ask.attack, ask.source, ask.metric] if ask else [""] * 5
        numbers = [found.value, found.low, found.high, found.n] if found else [math.nan, math.nan, math.nan, 0]
        said = [entry.difference, entry.verdict, "; ".join(cell.notes), "" if found else explain(entry)]
        rows.append(
            (table.id, cell.row, cell.column, entry.reading, *where, cell.unit, cell.published, *numbers, *said)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def measured_only(entries: Sequence[Entry]) -> list[Entry]:
    """The cells that have a measured number."""
    return [entry for entry in entries if entry.found]


class _Footnotes:
    """Texts that several cells share, each said once."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, texts: Sequence[str]) -> str:
        """The marks of the texts, `[1][2]`."""
        known = [text for text in texts if text]
        self._texts += [text for text in dict.fromkeys(known) if text not in self._texts]
        return "".join(f"[{self._texts.index(text) + 1}]" for text in dict.fromkeys(known))

    @property
    def lines(self) -> tuple[str, ...]:
        """`[1] text`, in order."""
        return tuple(f"[{place}] {text}" for place, text in enumerate(self._texts, 1))


def _notes(table: PaperTable, entries: Sequence[Entry], scale: str, of: int | None) -> list[str]:
    notes = [table.cite, *table.notes]
    notes += [f"{name}: {text}" for name, text in table.readings.items() if name]
    cells = _by_cell(entries)
    done = sum(any(entry.found for entry in found.values()) for _, found in cells)
    differ = sum(any(entry.verdict == DIFFERS for entry in found.values()) for _, found in cells)
    notes.append(f"{done} of {of or len(cells)} cells measured; {differ} differ")
    if scale == "digits" and any(entry.is_miniature and entry.found and entry.cell.published for entry in entries):
        notes.append("published numbers are of other data and networks: compare the order of the rows, not the numbers")
        notes += order(entries)
    return notes


def _measured(entry: Entry) -> str:
    found = entry.found
    if found is None:
        return NONE
    value = f"{_exact(found.value):.2f}" if entry.cell.unit == "%" else f"{_exact(found.value):.4g}"
    if math.isnan(found.low):
        return value
    digits = ".1f" if entry.cell.unit == "%" else ".3g"
    return f"{value} [{found.low:{digits}},{found.high:{digits}}]"


def _difference(entry: Entry) -> str:
    if entry.difference is None:
        return NONE
    apart = _exact(entry.difference)
    return f"{apart:+.2f}" if entry.cell.unit == "%" else f"{apart:+.3g}"


def _exact(value: float) -> float:
    """The number; what only rounding of floats keeps from 0 is 0."""
    return 0.0 if abs(value) < _ROUNDING else value


def _count(found: Sequence[Entry]) -> str:
    counts = dict.fromkeys(str(entry.found.n) for entry in found if entry.found and entry.found.n)
    return ", ".join(counts)
