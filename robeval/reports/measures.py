"""What has been measured of models and data beside robust accuracy: the one place where tables take it from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Measured = Mapping[str, Any]


def read(root: Path) -> list[Measured]:
    """The measures in a ledger folder: every `measures/*.json`, each a list of rows.

    A row is flat. It has `kind` (what was measured), `metric` and `value`, may have `ci_low`, `ci_high` and `n`, and
    says in any other keys of what it is: `model`, `dataset`, `eps`, ... Files that hold anything else are passed over.
    """
    rows: list[Measured] = []
    for path in sorted((root / "measures").glob("*.json")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        rows += [row for row in found if isinstance(row, dict) and "value" in row] if isinstance(found, list) else []
    return rows


def find(rows: Sequence[Measured], wanted: Mapping[str, Any]) -> Measured | None:
    """The one row that says all that is wanted; None if there is none or more than one."""
    fits = [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]
    return fits[0] if len(fits) == 1 else None
