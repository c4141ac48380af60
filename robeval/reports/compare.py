"""A published table beside a ledger: what was measured of each number, and whether it is the one that was printed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from robeval.reports import lookup, transfer
from robeval.values.interval import wilson
from robeval.values.paper import STAND_IN, Ask, PaperCell, PaperTable

PUBLISHED_ONLY = "published only"
NOT_MEASURED = "not measured"  # nor is anything published
OTHER_DATA = "other data"
OTHER_NETWORKS = "other networks"
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
    def is_miniature(self) -> bool:
        """Whether it is another number than the one that was printed."""
        return self.ask is not None and self.ask != self.cell.asks.get("paper", {}).get(self.reading)

    @property
    def difference(self) -> float | None:
        """Measured minus published; None where there is no comparison."""
        published = self.cell.number
        if self.found is None or published is None or self.verdict in (OTHER_DATA, OTHER_NETWORKS):
            return None
        return self.found.value - published


Whole = Callable[[Ask], Mapping[str, Any]]
Setting = Callable[[Ask], Mapping[str, Any]]
IMAGES = ("content", "dataset", "split")  # of a row: what it was taken of
OTHERS = {"reference": "compared with other images", "attacks": "other attacks than the suite's"}


def compare(
    table: PaperTable,
    results: pd.DataFrame,
    rows: Sequence[lookup.Row],
    scale: str = "paper",
    whole: Whole = lambda ask: ask.finding,
    seed: int = 0,
    setting: Setting = lambda ask: {},
) -> list[Entry]:
    """Every cell of a table in every reading it has, with what the ledger says about it.

    Args:
        results: of the ledger, as `measure.results` gives them.
        rows: of its measures, as `findings.rows` gives them, and of its transfers (`transfer.rows`).
        whole: all that a row of a measure must say, parameters with their defaults: a `finding` leaves those out.
        seed: of the attacks; what was run with another is not taken, and its verdict says so.
        setting: what a row of `results`, or of a measure (`content`, `reference`, `attacks`), must say of its data
            and attacks to be the number; the same holds. Asked only where there is a row that says all else.
    """
    known = {(row["suite"], row["model"], row["attack"]): row for row in results.to_dict("records")}
    ledger, entries = _Ledger(known, rows, whole, seed, setting), []
    for cell in table.cells:
        asks = cell.asks.get(scale, {})
        for reading, ask in asks.items() if asks else [("", None)]:
            found = _look_up(ask, cell, ledger) if ask else None
            entry = Entry(cell, reading, ask, found, "")
            entries.append(replace(entry, verdict=_verdict(entry, ledger)))
    return entries


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What there is to look numbers up in, as `compare` takes it."""

    known: Mapping[tuple[str, str, str], Any]
    rows: Sequence[lookup.Row]
    whole: Whole
    seed: int
    setting: Setting

    def refused(self, ask: Ask) -> str | None:
        """Why the row of an attack or measure is not the number; empty if it is, None if there is no row."""
        if ask.finding:
            fits = lookup.fitting(self.rows, self.wanted(ask))
            return _apart_from(fits[0], self.setting(ask)) if fits else None
        row = self.known.get((ask.group, ask.model, ask.attack))
        if row is None or row["status"] != "complete":
            return None if row is None else str(row["status"])
        if row["seed"] != self.seed:
            return f"seed {row['seed']}, not {self.seed}"
        return _apart_from(row, self.setting(ask))

    def wanted(self, ask: Ask) -> dict[str, Any]:
        """What a row of a measure or transfer must say, but for its data and attacks."""
        moved = {
            "measure": "transfer", "at": transfer.ALL, "suite": ask.suite, "attack": ask.attack, "source": ask.source,
            "seed": self.seed,
        }  # fmt: skip
        about = self.whole(ask) if ask.finding else moved
        return {"metric": ask.metric, **about} | ({"model": ask.model} if ask.model else {})

    def row(self, ask: Ask) -> lookup.Row | None:
        """That of a measure or transfer."""
        if not ask.finding:
            return None if self.refused(ask) else lookup.find(self.rows, self.wanted(ask))
        wanted = self.wanted(ask)
        setting = self.setting(ask) if lookup.fitting(self.rows, wanted) else {}
        return lookup.find(self.rows, {**wanted, **setting})


def _look_up(ask: Ask, cell: PaperCell, ledger: _Ledger) -> Found | None:
    found = _accuracy(ask, ledger) if ask.is_accuracy else _measured(ask, cell, ledger)
    if found is None or ask.minus is None:
        return found
    other = _look_up(ask.minus, cell, ledger)
    return _apart(found, other) if other else None


def _accuracy(ask: Ask, ledger: _Ledger) -> Found | None:
    """An accuracy in percent; only of an attack that is finished."""
    if ledger.refused(ask) != "":
        return None
    row = ledger.known[ask.group, ask.model, ask.attack]
    share, n = float(row[ask.metric]), int(row["n"])
    low, high = wilson(round(share * n), n)
    return Found(100 * share, 100 * low, 100 * high, n)


def _measured(ask: Ask, cell: PaperCell, ledger: _Ledger) -> Found | None:
    """What was measured otherwise; shares of a column in percent are shown in percent."""
    row = ledger.row(ask)
    if row is None or (value := lookup.number(row.get("value"))) is None:
        return None
    low, high = (lookup.number(row.get(key)) for key in ("low", "high"))
    scale = 100 if cell.unit == "%" else 1
    low, high = (math.nan if each is None else scale * each for each in (low, high))
    return Found(scale * value, low, high, int(lookup.number(row.get("n")) or 0))


def _apart_from(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first thing in which a row is not what is wanted, in words; empty if there is none."""
    for key, value in wanted.items():
        if row[key] == value:
            continue
        if key in IMAGES:
            return f"other images than the {'suite' if row['suite'] else 'data set'}'s"
        if key in OTHERS:
            return OTHERS[key]
        if key != "params":
            return f"{key} {_spelt(row[key])}, not {_spelt(value)}"
        has, asked = str(row[key]).split(), str(value).split()
        ours, theirs = (" ".join(word for word in one if word not in two) for one, two in ((has, asked), (asked, has)))
        return f"{ours}, not {theirs}" if ours and theirs else f"without {theirs}" if theirs else f"with {ours}"
    return ""


def _spelt(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value) or "none"


def _apart(one: Found, other: Found) -> Found:
    """The difference of two numbers; its interval is Newcombe's (1998, method 10), for samples that are others."""
    value = one.value - other.value
    low = math.hypot(one.value - one.low, other.high - other.value)
    high = math.hypot(one.high - one.value, other.value - other.low)
    return Found(value, value - low, value + high, min(one.n, other.n))


def _verdict(entry: Entry, ledger: _Ledger) -> str:
    cell, ask, found, published = entry.cell, entry.ask, entry.found, entry.cell.number
    if found is None:
        asked = [each for each in (ask, ask.minus) if each] if ask else []
        why = next(filter(None, map(ledger.refused, asked)), "")
        return why or (PUBLISHED_ONLY if cell.published else NOT_MEASURED)
    if entry.is_miniature:
        return OTHER_DATA
    if entry.reading == STAND_IN:
        return OTHER_NETWORKS
    if published is None:
        return "measured"
    apart = abs(found.value - published)
    if apart <= cell.half_unit * (1 + 1e-9):
        return "equal"
    room = cell.tolerance + cell.half_unit
    low, high = _interval(found)
    return "agrees" if low - room <= published <= high + room else DIFFERS


def order(entries: Sequence[Entry]) -> list[str]:
    """For each column, how many pairs of rows stand in the published order; ties and overlaps decide none."""
    columns: dict[tuple[str, str], list[tuple[float, Found]]] = {}
    for entry in entries:
        if entry.found is not None and entry.cell.number is not None:
            columns.setdefault((entry.cell.column, entry.reading), []).append((entry.cell.number, entry.found))
    lines = []
    for (column, reading), pairs in columns.items():
        same = other = 0
        for place, (one, ours) in enumerate(pairs):
            for two, theirs in pairs[:place]:
                (low, high), (least, most) = _interval(ours), _interval(theirs)
                if one == two or not (low > most or high < least):
                    continue
                if (one > two) == (ours.value > theirs.value):
                    same += 1
                else:
                    other += 1
        total = len(pairs) * (len(pairs) - 1) // 2
        if total:
            name = f"{column} ({reading})" if reading else column
            count = f"{same} stand as published, {other} the other way, {total - same - other} undecided"
            lines.append(f"{name}: of {total} pairs of rows {count}")
    return lines


def _interval(found: Found) -> tuple[float, float]:
    """The interval; what has none, as a closed form, is certain."""
    low, high = (found.value if math.isnan(each) else each for each in (found.low, found.high))
    return low, high
