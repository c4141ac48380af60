"""What has been measured beside robust accuracy, of models, data and theorems: where tables take it from."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read(root: Path) -> list[Row]:
    """The numbers in a ledger folder's `measures.csv`; none if there is no such file.

    A row has `measure`, `metric`, `at` and `value`, may have `low`, `high` and `n`, and says of what it is in
    `model`, `dataset`, `split` and `suite`. Each setting in `params` (`eps=0.1 steps=10`) becomes a key of its own,
    unless a column is called so.
    """
    try:
        with (root / "measures.csv").open(encoding="utf-8", newline="") as file:
            return [_settings(row.get("params") or "") | row for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def _settings(text: str) -> dict[str, str]:
    return {name: value for name, sign, value in (part.partition("=") for part in text.split()) if sign}


def find(rows: Sequence[Row], wanted: Mapping[str, Any]) -> Row | None:
    """The row that says all that is wanted; of several that of most samples, None if that is no single one."""
    fits = [row for row in rows if all(_same(row.get(key), value) for key, value in wanted.items())]
    counts = [number(row.get("n")) or 0 for row in fits]
    most = [row for row, count in zip(fits, counts) if count == max(counts)]
    return most[0] if len(most) == 1 else None


def number(given: object) -> float | None:
    """A number that may be written as text."""
    try:
        return float(given) if isinstance(given, str | int | float) else None
    except ValueError:
        return None


def _same(has: object, wanted: object) -> bool:
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        found = number(has)
        return found is not None and f"{found:.6g}" == f"{wanted:.6g}"
    return str(has).lower() == str(wanted).lower()
