"""Both denominators of a transfer and its losses, against numbers counted by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import records
from golden import same
from records import spec

from robeval.ledger.store import Ledger
from robeval.reports import measure, transfer
from robeval.reports.compare import compare
from robeval.reports.render import markdown
from robeval.values.paper import Ask, PaperCell, PaperTable

GOLDEN = Path(__file__).parent / "golden"
PGD, FGSM = spec("pgd"), spec("fgsm", use="fgsm", params={})


@pytest.fixture
def ledger(tmp_path):
    """Four samples, of which `net` gets three right and keeps two under `pgd`; `fgsm` is not finished."""
    ledger = Ledger(tmp_path / "runs")
    about = replace(records.cell(PGD), source="s" * 32)
    made = replace(records.result(about, "0010", "1110"), more={"cross_entropy": np.float32([0.5, 1.5, 4.0, 2.0])})
    ledger.put(made)
    other = replace(records.cell(FGSM), source="s" * 32)
    rows = {"pgd": ((PGD,), ((about.key,),)), "fgsm": ((FGSM,), ((other.key,),))}
    ledger.put_plan(replace(records.plan("net", rows, 4), source="src"))
    records.fill(ledger, "alone", [(PGD, "0000")])
    return ledger


def number(found, metric, at):
    (row,) = found[(found.metric == metric) & (found["at"] == at)].to_dict("records")
    return row


def test_the_two_denominators(ledger):
    found = transfer.results(ledger, ledger.plans())
    assert set(found.attack) == {"pgd"}
    assert set(found.source) == {"src"}
    everyone, right = (number(found, "robust_accuracy", at) for at in (transfer.ALL, transfer.RIGHT))
    assert (everyone["value"], everyone["n"]) == (2 / 4, 4)
    assert (right["value"], right["n"]) == (2 / 3, 3)
    assert number(found, "natural_accuracy", transfer.ALL)["value"] == 3 / 4
    assert number(found, "mean_cross_entropy", transfer.ALL)["value"] == 2.0
    assert number(found, "mean_cross_entropy", transfer.RIGHT)["value"] == 2.0


def test_the_matrix(ledger):
    same(
        GOLDEN / "transfer.md",
        "\n".join(map(markdown.render, transfer.tables(transfer.results(ledger, ledger.plans())))),
    )


def test_published_tables_find_the_losses(ledger):
    ask = Ask("mean_cross_entropy", "net", "small", "pgd", "src")
    cell = PaperCell("a", "b", "2.1", "", "loss", 0.0, asks={"paper": {"": ask}})
    wrong = replace(cell, row="c", asks={"paper": {"": replace(ask, source="other")}})
    table = PaperTable("own", "A table", "Somebody", (cell, wrong), {"": ""})
    plans = list(ledger.plans())
    one, other = compare(table, measure.results(ledger, plans), transfer.rows(ledger, plans))
    assert (one.found.value, one.found.n, one.verdict) == (2.0, 4, "agrees")
    assert one.found.low < 2 < one.found.high
    assert other.found is None


def test_another_seed_is_another_matrix_and_another_number(ledger):
    (plan,) = (each for each in ledger.plans() if each.source)
    ledger.put_plan(replace(plan, model="late", seed=3))
    plans = list(ledger.plans())
    first, second = transfer.tables(transfer.results(ledger, plans))
    assert [row[1] for row in first.rows + second.rows] == ["late", "net"]
    assert {first.caption.count("seed 3"), second.caption.count("seed 3")} == {0, 1}
    ask = Ask("mean_cross_entropy", "late", "small", "pgd", "src")
    table = PaperTable("own", "", "", (PaperCell("a", "b", "2.1", "", "loss", asks={"paper": {"": ask}}),), {"": ""})
    found = measure.results(ledger, plans), transfer.rows(ledger, plans)
    assert compare(table, *found)[0].verdict == "seed 3, not 0"
    assert compare(table, *found, seed=3)[0].found.value == 2.0


def test_where_the_target_is_never_right_there_is_nothing_to_be_kept(tmp_path):
    ledger = Ledger(tmp_path)
    about = replace(records.cell(PGD), source="s" * 32)
    ledger.put(records.result(about, "0000", "0000"))
    ledger.put_plan(replace(records.plan("net", {"pgd": ((PGD,), ((about.key,),))}, 4), source="src"))
    ((table),) = transfer.tables(transfer.results(ledger, ledger.plans()))
    assert table.rows == (("src", "net", "0.00", "0.00 [0.0,49.0]", "4", "–", "0", "–"),)
