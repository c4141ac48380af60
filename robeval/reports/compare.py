"""A published table beside a ledger: what was measured of each number, and whether it is the one that was printed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from robeval.reports import measures
from robeval.reports.measure import wilson
from robeval.values.paper import ACCURACIES, Ask, PaperCell, PaperTable

PUBLISHED_ONLY = "published only"
NOT_MEASURED = "not measured"  # nor is anything published
OTHER_DATA = "other data"
DIFFERS = "DIFFERS"


@dataclass(frozen=True, slots=True)
class Found:
    """A number of the ledger, in the unit of its cell, with its 95 % interval and the samples it is of (0: none)."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell in one reading.

    Attributes:
        ask: where its number is; None if the table says nowhere.
        found: the measured number, if the ledger has it.
        verdict: in a word, how the two stand to each other, or why they cannot.
    """

    cell: PaperCell
    reading: str
    ask: Ask | None
    found: Found | None
    verdict: str

    @property
    def difference(self) -> float | None:
        """Measured minus published; None where there is no comparison."""
        published = self.cell.number
        if self.found is None or published is None or self.verdict == OTHER_DATA:
            return None
        return self.found.value - published


def compare(
    table: PaperTable, results: pd.DataFrame, rows: Sequence[measures.Measured], scale: str = "paper"
) -> list[Entry]:
    """Every cell of a table in every reading it has, with what the ledger says about it.

    Args:
        results: of the ledger, as `measure.results` gives them.
        rows: of its measures, as `measures.read` gives them.
    """
    known = {(row["suite"], row["model"], row["attack"]): row for row in results.to_dict("records")}
    entries = []
    for cell in table.cells:
        asks = cell.asks.get(scale, {})
        for reading, ask in asks.items() if asks else [("", None)]:
            found = _look_up(ask, cell, known, rows) if ask else None
            entries.append(Entry(cell, reading, ask, found, _verdict(cell, ask, found, known, scale)))
    return entries


def _look_up(
    ask: Ask, cell: PaperCell, known: Mapping[tuple[str, str, str], Any], rows: Sequence[measures.Measured]
) -> Found | None:
    found = _measured(ask, rows) if ask.measure else _accuracy(ask, known)
    if found is None or ask.minus is None:
        return found
    other = _look_up(ask.minus, cell, known, rows)
    return _apart(found, other) if other else None


def _accuracy(ask: Ask, known: Mapping[tuple[str, str, str], Any]) -> Found | None:
    """An accuracy in percent; only of an attack that is finished."""
    row = known.get((ask.group, ask.model, ask.attack))
    if row is None or row["status"] != "complete" or ask.metric not in ACCURACIES:
        return None
    share, n = float(row[ask.metric]), int(row["n"])
    low, high = wilson(round(share * n), n)
    return Found(100 * share, 100 * low, 100 * high, n)


def _measured(ask: Ask, rows: Sequence[measures.Measured]) -> Found | None:
    wanted = {**ask.measure, "metric": ask.metric} | ({"model": ask.model} if ask.model else {})
    row = measures.find(rows, wanted)
    if row is None:
        return None
    try:
        value, low, high = (float(row.get(key, math.nan)) for key in ("value", "ci_low", "ci_high"))
        return Found(value, low, high, int(row.get("n", 0)))
    except (TypeError, ValueError):
        return None


def _apart(one: Found, other: Found) -> Found:
    """The difference of two numbers; its interval is Newcombe's (1998, method 10), for samples that are others."""
    value = one.value - other.value
    low = math.hypot(one.value - one.low, other.high - other.value)
    high = math.hypot(one.high - one.value, other.value - other.low)
    return Found(value, value - low, value + high, min(one.n, other.n))


def _verdict(
    cell: PaperCell, ask: Ask | None, found: Found | None, known: Mapping[tuple[str, str, str], Any], scale: str
) -> str:
    if found is None:
        row = known.get((ask.group, ask.model, ask.attack)) if ask else None
        if row and row["status"] != "complete":
            return str(row["status"])
        return PUBLISHED_ONLY if cell.published else NOT_MEASURED
    published = cell.number
    if scale != "paper":
        return OTHER_DATA
    if published is None:
        return "measured"
    apart = abs(found.value - published)
    if apart <= cell.half_unit * (1 + 1e-9):
        return "equal"
    room = cell.tolerance + cell.half_unit
    low, high = (found.value if math.isnan(each) else each for each in (found.low, found.high))
    return "agrees" if low - room <= published <= high + room else DIFFERS


def order(entries: Sequence[Entry]) -> list[str]:
    """For each column, how many pairs of rows stand in the published order; ties and overlapping intervals do not."""
    columns: dict[tuple[str, str], list[tuple[float, Found]]] = {}
    for entry in entries:
        if entry.found is not None and entry.cell.number is not None:
            columns.setdefault((entry.cell.column, entry.reading), []).append((entry.cell.number, entry.found))
    lines = []
    for (column, reading), pairs in columns.items():
        same = other = 0
        for place, (one, ours) in enumerate(pairs):
            for two, theirs in pairs[:place]:
                if one == two or not (ours.low > theirs.high or ours.high < theirs.low):
                    continue
                if (one > two) == (ours.value > theirs.value):
                    same += 1
                else:
                    other += 1
        total = len(pairs) * (len(pairs) - 1) // 2
        if total:
            name = f"{column} ({reading})" if reading else column
            lines.append(f"{name}: of {total} pairs of rows {same} stand as published, {other} the other way")
    return lines
