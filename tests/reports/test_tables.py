"""What people are shown: ranking, attacks, and the renderers, compared with texts in `golden/`.

After a wanted change, write the new texts with `ROBEVAL_GOLDEN=write pytest tests/reports` and read the difference.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import records
from golden import same
from records import fill, spec
from rich.console import Console

from robeval.ledger.store import Ledger
from robeval.reports import leaderboard, measure
from robeval.reports.render import csv, markdown, terminal
from robeval.reports.write import write_reports
from robeval.values.cell import CellFailure
from robeval.values.table import Table
from robeval.values.threat import ThreatModel

GOLDEN = Path(__file__).parent / "golden"
CLEAN = spec("clean", use="clean", params={})
PGD, FGSM = spec(), spec("fgsm", use="fgsm", params={})


@pytest.fixture
def ledger(tmp_path):
    """Three models: `weak`, `strong`, and `stuck`, of which one attack failed."""
    ledger = Ledger(tmp_path / "runs")
    outside = spec("wide_pgd", ThreatModel("linf", 0.3))
    fill(ledger, "weak", [(CLEAN, "0" * 10), (PGD, "1111111000"), (FGSM, "0000001110"), (outside, "1" * 10)])
    outcomes = [(CLEAN, "0" * 10), (PGD, "1100000000"), (FGSM, "0100000000"), (outside, "1111111110")]
    fill(ledger, "strong", outcomes, natural="1111111110")
    fill(ledger, "stuck", [(CLEAN, "0" * 10), (PGD, None), (FGSM, "0000001110"), (outside, "1" * 10)])
    ledger.fail(CellFailure(records.cell(PGD, "stuck", 0, 10), "RuntimeError: it gave up | here", "..."))
    return ledger


@pytest.fixture
def results(ledger):
    return measure.results(ledger, ledger.plans())


def test_the_most_robust_model_is_first_and_unfinished_ones_are_last(results):
    table = leaderboard.ranking(results, "small")
    # Of ten samples seven stand only here and one only there: that may be chance, p = 0.07.
    assert [(row[0], row[1]) for row in table.rows] == [("1", "strong"), ("1", "weak"), ("–", "stuck")]
    assert table.rows[0][2:4] == ("90.00", "70.00 [39.7,89.2]")
    assert table.rows[2][2:4] == ("–", "INCOMPLETE")


def test_of_equally_robust_models_the_more_accurate_one_is_first(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(PGD, "1000")], natural="0111")
    fill(ledger, "b", [(PGD, "1000")], natural="1111")
    fill(ledger, "c", [(PGD, "0000")], natural="0111")
    table = leaderboard.ranking(measure.results(ledger, ledger.plans()), "small")
    assert table.rows[0][1] == "b"


def test_models_that_do_not_differ_significantly_share_a_rank(tmp_path):
    ledger = Ledger(tmp_path)
    for name, broken in {"a": 0, "b": 3, "c": 30, "d": 31}.items():
        fill(ledger, name, [(PGD, "1" * broken + "0" * (40 - broken))])
    table = leaderboard.ranking(measure.results(ledger, ledger.plans()), "small")
    assert [row[:2] for row in table.rows] == [("1", "a"), ("1", "b"), ("3", "c"), ("3", "d")]
    assert "share a rank" in table.notes[0]


def test_models_on_other_samples_are_ranked_apart(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(PGD, "1" * 30 + "0" * 10)])
    fill(ledger, "b", [(PGD, "0" * 20)])
    table = leaderboard.ranking(measure.results(ledger, ledger.plans()), "small")
    assert [(row[0], row[1], row[4]) for row in table.rows] == [("1", "a", "40"), ("1", "b", "20")]
    assert table.notes == ("models are ranked among those with as many samples",)


def test_suites_are_ranked_apart(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(PGD, "1000")], suite="one")
    fill(ledger, "b", [(PGD, "0000")], suite="two")
    results = measure.results(ledger, ledger.plans())
    assert [row[1] for row in leaderboard.ranking(results, "one").rows] == ["a"]
    assert leaderboard.attacks(results, "two").header == ("attack", "b")


def test_attacks_have_a_row_and_models_a_column(results):
    table = leaderboard.attacks(results, "small")
    assert table.header == ("attack", "strong", "stuck", "weak")
    assert [row[0] for row in table.rows] == ["clean", "pgd20", "fgsm", "wide_pgd", "worst case"]
    assert table.rows[1] == ("pgd20", "70.00 [39.7,89.2]", "INCOMPLETE", "30.00 [10.8,60.3]")
    assert table.rows[4][2] == "INCOMPLETE"


def test_a_model_without_one_of_the_attacks_has_an_empty_place(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(PGD, "1000"), (FGSM, "0000")])
    fill(ledger, "b", [(PGD, "1000")])
    table = leaderboard.attacks(measure.results(ledger, ledger.plans()), "small")
    assert {row[0]: row[2] for row in table.rows}["fgsm"] == ""


def test_what_makes_a_number_doubtful_is_said_below(ledger):
    about = records.cell(PGD, "odd", 0, 4)
    made = records.result(about, "0100")
    two, three = np.array([True, True, False, False]), np.array([True, True, True, False])
    odd = dataclasses.replace(made.verdicts, escaped=two, nonfinite=three)
    ledger.put(dataclasses.replace(made, verdicts=odd))
    ledger.put_plan(records.plan("odd", {"pgd20": ((PGD,), ((about.key,),))}, 4))
    notes = leaderboard.attacks(measure.results(ledger, ledger.plans()), "small").notes
    assert notes == (
        "the suite was changed between these models, run it again to compare them: odd / strong, stuck, weak",
        "wide_pgd: linf eps 0.3, no part of the worst case",
        "stuck, pgd20: INCOMPLETE: 0 of 1 cells; RuntimeError: it gave up | here",
        "odd, pgd20: 2 candidates left the ball or box and did not count",
        "odd, pgd20: 3 samples met NaN or infinite logits or gradients",
    )


def test_attacks_in_another_ball_than_the_caption_says_are_named(tmp_path):
    ledger = Ledger(tmp_path)
    others = {"less": ThreatModel("linf", 0.031), "more": ThreatModel("linf", 0.2), "l2": ThreatModel("l2", 0.1)}
    outcomes = [(PGD, "1000"), *((spec(name, threat), "1111") for name, threat in others.items())]
    for model in ("a", "b"):
        fill(ledger, model, outcomes)
    assert leaderboard.attacks(measure.results(ledger, ledger.plans()), "small").notes == (
        "less: linf eps 0.031",
        "more: linf eps 0.2, no part of the worst case",
        "l2: l2 eps 0.1, no part of the worst case",
    )


@pytest.mark.parametrize("threat", [ThreatModel("linf", 0.05), ThreatModel("l2", 0.1)])
def test_models_of_two_editions_of_a_suite_are_not_compared_in_silence(tmp_path, threat):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(PGD, "1000")])
    fill(ledger, "b", [(PGD, "1100")])
    results = measure.results(ledger, ledger.plans())
    assert leaderboard.attacks(results, "small").notes == ()
    fill(ledger, "b", [(spec("pgd20", threat), "1000")], threat=threat)
    results = measure.results(ledger, ledger.plans())
    for table in (leaderboard.ranking(results, "small"), leaderboard.attacks(results, "small")):
        assert table.notes[0].endswith("run it again to compare them: a / b")


def test_where_nothing_is_in_the_threat_model_the_table_has_no_worst_case(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(spec("outside", ThreatModel("linf", 0.3)), "1100")])
    results = measure.results(ledger, ledger.plans())
    assert [row[0] for row in leaderboard.attacks(results, "small").rows] == ["outside"]
    assert leaderboard.ranking(results, "small").rows == ()
    write_reports(ledger)


# ── renderers ──


def test_csv(results):
    same(GOLDEN / "results.csv", csv.render(results.round(9)))


def test_csv_comes_back_in_full_precision(results):
    back = pd.read_csv(io.StringIO(csv.render(results)), keep_default_na=False, na_values=[""])
    for name in ("robust_accuracy", "natural_accuracy", "ci_low", "ci_high", "eps", "seconds"):
        np.testing.assert_array_equal(back[name], results[name].astype(float))
    assert list(back.status) == list(results.status)


def test_markdown(ledger):
    write_reports(ledger)
    same(GOLDEN / "leaderboard.md", (ledger.root / "leaderboard.md").read_text(encoding="utf-8"))


def test_the_files_beside_the_cells(ledger, results):
    write_reports(ledger)
    assert (ledger.root / "results.csv").read_text(encoding="utf-8") == csv.render(results)


def test_an_empty_ledger_has_reports_too(tmp_path):
    write_reports(Ledger(tmp_path))
    assert (tmp_path / "results.csv").read_text() == ",".join(measure.COLUMNS) + "\n"
    assert (tmp_path / "leaderboard.md").read_text() == "# Leaderboard"


def shown(table, width=100, **options):
    screen = io.StringIO()
    Console(file=screen, width=width, highlight=False, **options).print(terminal.render(table))
    return screen.getvalue()


def test_terminal(results):
    tables = leaderboard.ranking(results, "small"), leaderboard.attacks(results, "small")
    same(GOLDEN / "terminal.txt", "".join(map(shown, tables)))


def test_the_terminal_shows_texts_as_they_are():
    table = Table("[b]caption[/b]", ("a",), (("[red]x[/red]",),), ("[link]",))
    assert all(text in shown(table) for text in ("[b]caption[/b]", "[red]x[/red]", "[link]"))
    assert "\x1b" not in shown(table)
    assert "\x1b" in shown(table, force_terminal=True)


def test_markdown_cells_cannot_break_the_table():
    text = markdown.render(Table("c", ("a|b",), (("x|y",),), ("n|m",)))
    assert "| a\\|b |" in text
    assert "| x\\|y |" in text
    assert "n/m" in text


def test_numbers_are_set_to_the_right_and_texts_to_the_left():
    table = Table("c", ("name", "value", "empty"), (("x", "1.5", ""), ("y", "INCOMPLETE", ""), ("z", "–", "")))
    assert markdown.render(table).splitlines()[3] == "| :-- | --: | :-- |"
