"""The files that stand beside the cells and measures: of results, of measures and of transfers, each twice."""

import pandas as pd

from robeval.ledger.store import Ledger
from robeval.reports import findings, leaderboard, measure, transfer
from robeval.reports.render import csv, markdown
from robeval.whole import write_whole


def write_reports(ledger: Ledger) -> None:
    """Write `results.csv` and `leaderboard.md` about every suite and model that the ledger knows."""
    results = measure.results(ledger, ledger.plans())
    write_whole(ledger.root / "results.csv", csv.render(results).encode())
    write_whole(ledger.root / "leaderboard.md", as_markdown(results).encode())


def write_findings(ledger: Ledger) -> None:
    """Write `measures.csv` and `measures.md` about every answer that the ledger has."""
    found = findings.results(ledger)
    write_whole(ledger.root / "measures.csv", csv.render(found).encode())
    write_whole(ledger.root / "measures.md", findings_as_markdown(found).encode())


def write_transfers(ledger: Ledger) -> None:
    """Write `transfer.csv` and `transfer.md` about every attack of one model with images made on another."""
    found = transfer.results(ledger, ledger.plans())
    text = "\n\n".join(["# Transfer", *map(markdown.render, transfer.tables(found))])
    write_whole(ledger.root / "transfer.csv", csv.render(found).encode())
    write_whole(ledger.root / "transfer.md", text.encode())


def findings_as_markdown(found: pd.DataFrame) -> str:
    """A table for each measure, subject and parameters."""
    return "\n\n".join(["# Measures", *map(markdown.render, findings.tables(found))])


def as_markdown(results: pd.DataFrame) -> str:
    """The ranking, the table of attacks, and what each attack was, of each suite and of all that is ranked apart."""
    text = ["# Leaderboard"]
    for part in leaderboard.parts(results):
        suite = str(part.suite.iloc[0])
        text += [f"## {suite}"] if f"## {suite}" not in text else []
        text += [markdown.render(leaderboard.ranking(part, suite)), markdown.render(leaderboard.attacks(part, suite))]
        found = leaderboard.distances(part, suite)
        text += [markdown.render(found)] if found else []
        text += [markdown.render(leaderboard.settings(part, suite))]
    return "\n\n".join(text)
