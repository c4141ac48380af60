"""Answers as rows and as tables."""

import math

import pytest

from robeval.ledger.store import Ledger
from robeval.reports import findings
from robeval.reports.render import markdown
from robeval.reports.write import write_findings
from robeval.values.cell import DataSlice
from robeval.values.measurement import Finding, Measured, Question

DATA = DataSlice("digits", "test", "c" * 32, 0, 3)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path)
    first = Question("lipschitz", {"eps": 0.1, "step_size": None, "keep": "best"}, "net", "w", DATA)
    found = (Finding("lipschitz", 12.5, 11, 14, 3), Finding("lipschitz_max", 54.25, n=3))
    ledger.put_answer(Measured(first, found, seconds=2.0))
    theory = Question("tsipras", {"n": 10, "seed": 3}, seed=7)
    ledger.put_answer(Measured(theory, (Finding("natural_accuracy", 1.0, at="mean | closed form"),)))
    return ledger


def test_one_row_per_finding(ledger):
    found = findings.results(ledger)
    assert tuple(found.columns) == findings.COLUMNS
    first, second, third = found.to_dict("records")
    assert first["subject"] == "net on digits (test)"
    assert (first["value"], first["low"], first["high"], first["n"]) == (12.5, 11, 14, 3)
    assert first["params"] == "eps=0.1 keep=best"
    assert math.isnan(second["low"])
    assert (third["subject"], third["seed"], third["n"]) == ("theory", 7, 0)


def test_rows_with_each_parameter_by_its_name(ledger):
    first, _, third = findings.rows(ledger)
    assert (first["measure"], first["model"], first["eps"], first["step_size"]) == ("lipschitz", "net", 0.1, None)
    assert (third["seed"], third["params.seed"], third["n"], third["params.n"]) == (7, 3, 0, 10)


def test_an_empty_ledger(tmp_path):
    assert findings.results(Ledger(tmp_path)).empty
    assert findings.tables(findings.results(Ledger(tmp_path))) == []


def test_one_table_per_answer(ledger):
    first, second = findings.tables(findings.results(ledger))
    assert first.caption == "lipschitz: net on digits (test), eps=0.1 keep=best"
    assert first.rows == (("lipschitz", "", "12.5", "11 to 14", "3"), ("lipschitz_max", "", "54.25", "", "3"))
    assert second.rows == (("natural_accuracy", "mean | closed form", "1", "", ""),)
    assert "mean \\| closed form" in markdown.render(second)


def test_files_for_people_and_programs(ledger, tmp_path):
    write_findings(ledger)
    assert "lipschitz_max" in (tmp_path / "measures.md").read_text()
    lines = (tmp_path / "measures.csv").read_text().splitlines()
    assert lines[0] == ",".join(findings.COLUMNS)
    assert len(lines) == 4
