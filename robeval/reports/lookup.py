"""One number among those measured beside robust accuracy (`findings.rows`), by all that is said of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def find(rows: Sequence[Row], wanted: Mapping[str, Any]) -> Row | None:
    """The row that says all that is wanted; of several that of most samples, None if that is no single one."""
    fits = fitting(rows, wanted)
    counts = [number(row.get("n")) or 0 for row in fits]
    most = [row for row, count in zip(fits, counts) if count == max(counts)]
    return most[0] if len(most) == 1 else None


def fitting(rows: Sequence[Row], wanted: Mapping[str, Any]) -> list[Row]:
    """Every row that says all that is wanted."""
    return [row for row in rows if all(_same(row.get(key), value) for key, value in wanted.items())]


def number(given: object) -> float | None:
    """The number, if there is one: NaN is none."""
    return float(given) if isinstance(given, int | float) and not math.isnan(given) else None


def _same(has: object, wanted: object) -> bool:
    if isinstance(wanted, list | tuple):
        return isinstance(has, list | tuple) and len(has) == len(wanted) and all(map(_same, has, wanted))
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        found = number(has)
        return found is not None and f"{found:.6g}" == f"{wanted:.6g}"
    return str(has).lower() == str(wanted).lower()
