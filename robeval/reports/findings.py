"""The answers in a ledger as rows of numbers, and as tables."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from robeval.ledger.answers import settings
from robeval.ledger.store import Ledger
from robeval.values.attack import AttackSpec
from robeval.values.digest import digest
from robeval.values.measurement import AT_MOST, Finding, Measured, Question
from robeval.values.table import Table

COLUMNS = (
    "measure", "subject", "model", "dataset", "split", "suite", "params", "metric", "at", "value", "low", "high", "n",
    "seed", "seconds",
)  # fmt: skip


def results(ledger: Ledger) -> pd.DataFrame:
    """One row per finding of every answer in the ledger; `low` and `high` are its 95 % interval, NaN where it has none.

    Columns: measure, subject (of what, for people), model, dataset, split, suite, params (for people), metric, at
    (where on a curve, or about which samples), value, low, high, n (samples; 0 for a closed form), seed, seconds.
    """
    return table_of(ledger.answers())


def table_of(answers: Iterable[Measured]) -> pd.DataFrame:
    """The rows of some answers, as `results` has them."""
    rows = [_row(answer, finding) for answer in answers for finding in answer.findings]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    """The same as flat dictionaries in which each parameter of the measure has its own key, as it was given.

    `version` is that of the measure's code; `content` and `reference` are digests of the images, and of those that
    they are compared with, and `attacks` is one of all that the attacks do whose verdicts it is made of, empty where
    there are none. Where a parameter is called like a column, `params.<name>` has it.
    """
    found = []
    for answer in ledger.answers():
        params = {
            name if name not in COLUMNS else f"params.{name}": each for name, each in answer.question.params.items()
        }
        made_of = _made_of(answer.question, ledger)
        found += [{**_row(answer, finding), **made_of, **params} for finding in answer.findings]
    return found


def _made_of(question: Question, ledger: Ledger) -> dict[str, Any]:
    cells = [cell for key in question.cells if (cell := ledger.get(key))]
    return {
        "version": question.version,
        "content": question.data.content if question.data else "",
        "reference": question.reference,
        "attacks": together(cell.cell.attack for cell in cells),
    }


def together(attacks: Iterable[AttackSpec]) -> str:
    """The digest of all that some attacks do, in whichever order and under whatever names; empty for none."""
    each = sorted({digest(spec.identity()) for spec in attacks})
    return digest(each) if each else ""


def _row(answer: Measured, finding: Finding) -> dict[str, Any]:
    question, data = answer.question, answer.question.data
    return {
        "measure": question.measure, "subject": question.subject, "model": question.model,
        "dataset": data.dataset if data else "", "split": data.split if data else "", "suite": question.suite,
        "params": settings(question), "metric": finding.metric, "at": finding.at, "value": finding.value,
        "low": finding.low, "high": finding.high, "n": finding.n, "seed": question.seed,
        "seconds": round(answer.seconds, 3),
    }  # fmt: skip


def tables(results: pd.DataFrame) -> list[Table]:
    """One table for each measure, subject and parameters."""
    return [
        Table(
            f"{measure}: {subject}" + (f", {params}" if params else ""),
            _HEADER,
            tuple(_line(dict(zip(COLUMNS, row))) for row in group[list(COLUMNS)].itertuples(index=False)),
            (_BOUND,) if group.metric.str.endswith(AT_MOST).any() else (),
        )
        for (measure, subject, params), group in results.groupby(["measure", "subject", "params"], sort=False)
    ]


_BOUND = (
    f"…{AT_MOST}: an upper bound only; no attack of the suite has looked at that radius, as one that looks for the "
    "nearest image (deepfool, fab, carlini_wagner, …) would"
)
_HEADER = ("metric", "at", "value", "95 % interval", "n")


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    interval = "" if math.isnan(row["low"]) else f"{_number(row['low'])} to {_number(row['high'])}"
    return row["metric"], row["at"], _number(row["value"]), interval, str(row["n"]) if row["n"] else ""


def _number(value: float) -> str:
    """Six digits; a whole number as it is."""
    return "–" if math.isnan(value) else f"{value:.6g}"
