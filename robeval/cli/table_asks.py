"""What a row of a ledger's measures must say to be the number of a cell: all parameters, the defaults too."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from robeval.errors import UserError
from robeval.measures import registry
from robeval.reports.findings import COLUMNS
from robeval.values.paper import Ask

SUBJECT = ("dataset", "split", "suite")  # what a `finding` says beside the measure, its parameters and `at`


def params(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a number's `finding` gives to its measure; an empty text gives none."""
    about = (*SUBJECT, "measure", "at")
    return {key: value for key, value in finding.items() if key not in about and value != ""}


def whole(ask: Ask, seed: int) -> dict[str, Any]:
    """The finding with the defaults of what it leaves out, as `findings.rows` calls them, and the seed.

    What no measure takes is left as it is: the ledger has no such row.
    """
    said = dict(ask.finding)
    try:
        entry = _measure(str(said.get("measure", "")))
        resolved = registry.resolved(entry, params(said))
    except UserError:
        return said
    subject = {key: value for key, value in said.items() if key not in resolved}
    keywords = {f"params.{name}" if name in COLUMNS else name: value for name, value in resolved.items()}
    drawn = 0 if entry.about == "data" else seed  # measures of data draw nothing
    return {**subject, **keywords, "seed": drawn, "version": entry.version}


@cache  # many cells are of one measure, and finding it looks through a folder
def _measure(name: str) -> registry.Entry:
    return registry.find(name)
