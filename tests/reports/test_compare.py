"""Published beside measured: verdicts, differences, and what is shown of them."""

import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from records import fill, spec

from robeval.ledger.store import Ledger
from robeval.reports import findings, measure, paper_page, paper_table
from robeval.reports.compare import compare, order
from robeval.values.cell import DataSlice
from robeval.values.interval import wilson
from robeval.values.measurement import Finding, Measured, Question
from robeval.values.paper import Ask, PaperCell, PaperTable

CLEAN, PGD = spec("clean", use="clean", params={}), spec("pgd")
NOTHING = pd.DataFrame(columns=list(measure.COLUMNS))


def cell(published, ask=None, row="a row", column="robust %", scale="paper", **more):
    asks = {scale: {"": ask}} if ask else {}
    return PaperCell(row, column, published, **({"tolerance": 1.0, "asks": asks} | more))


def table(*cells, readings=None):
    return PaperTable("own", "A table", "Somebody, Table 1", cells, readings or {"": ""})


ROBUST = Ask("robust_accuracy", "net", "small", "pgd")
NATURAL = Ask("natural_accuracy", "net", "small", "clean")


@pytest.fixture
def results(tmp_path):
    """200 samples, of which `net` gets 180 right and keeps 120 under `pgd`."""
    ledger = Ledger(tmp_path / "runs")
    natural = "1" * 180 + "0" * 20
    fill(ledger, "net", [(CLEAN, "0" * 200), (PGD, "0" * 120 + "1" * 80)], natural)
    return measure.results(ledger, ledger.plans())


def one(cells, results, rows=(), scale="paper"):
    (entry,) = compare(table(cells), results, rows, scale)
    return entry


@pytest.mark.parametrize(
    ("published", "tolerance", "verdict", "difference"),
    [
        ("60.00", 0.0, "equal", 0.0),
        ("60", 0.0, "equal", 0.0),
        ("59.9", 0.0, "agrees", 0.1),  # inside the interval [53.1, 66.5]
        ("53.0", 0.0, "DIFFERS", 7.0),
        ("53.0", 0.2, "agrees", 7.0),
        ("67.0", 0.2, "DIFFERS", -7.0),
        ("67.0", 0.6, "agrees", -7.0),
        ("67", 0.1, "agrees", -7.0),  # printed without decimals: may be 66.5
        ("max(1-a,0)", 0.0, "measured", None),
        ("", 0.0, "measured", None),
    ],
)
def test_verdicts(results, published, tolerance, verdict, difference):
    entry = one(cell(published, ROBUST, tolerance=tolerance), results)
    assert entry.verdict == verdict
    assert entry.found.value == pytest.approx(60)
    assert entry.difference == (None if difference is None else pytest.approx(difference))
    low, high = wilson(120, 200)
    assert (entry.found.low, entry.found.high, entry.found.n) == (100 * low, 100 * high, 200)


def test_natural_accuracy_has_an_interval_of_its_own(results):
    found = one(cell("90.0", NATURAL), results).found
    assert (found.low / 100, found.high / 100) == pytest.approx(wilson(180, 200))


@pytest.mark.parametrize(
    "other",
    [{"model": "nat"}, {"suite": "smal"}, {"attack": "pgd2"}, {"source": "net"}, {"metric": "lipschitz"}],
)
def test_another_model_suite_attack_source_or_metric_is_not_that_number(results, other):
    entry = one(cell("60", replace(ROBUST, **other)), results)
    assert (entry.found, entry.verdict, entry.difference) == (None, "published only", None)


def test_images_made_on_another_model_are_rows_of_their_own(tmp_path):
    ledger = Ledger(tmp_path)
    planned = fill(ledger, "net", [(PGD, "1000")])
    ledger.put_plan(replace(planned, source="other"))
    ask = replace(ROBUST, source="other")
    assert one(cell("75", ask), measure.results(ledger, ledger.plans())).found.value == 75


def test_what_was_run_with_another_seed_is_not_that_number(tmp_path):
    ledger = Ledger(tmp_path)
    planned = fill(ledger, "net", [(PGD, "1000")])
    ledger.put_plan(replace(planned, seed=3))
    found = measure.results(ledger, ledger.plans())
    entry = one(cell("75", ROBUST), found)
    assert (entry.found, entry.verdict, entry.difference) == (None, "seed 3, not 0", None)
    (entry,) = compare(table(cell("75", ROBUST)), found, [], seed=3)
    assert (entry.found.value, entry.verdict) == (75, "equal")


def test_the_page_says_of_what_is_not_measured_what_there_is_instead():
    drawn = table(cell("", notes=("`robeval show gradients` draws it",)))
    due = table(cell("5", ROBUST, scale="digits"))
    left = table(*(cell("5", ROBUST, row=row, scale="digits", left_out="it takes days") for row in ("one", "two")))
    both = [drawn, due, left]
    found = [compare(each, NOTHING, [], "digits") for each in both]
    drawn, due, left = re.split(r"^## .*$", paper_page.page(both, found, found), flags=re.MULTILINE)[1:]
    made = "`robeval table own --scale digits --run` makes it"
    assert "No numbers are printed. `robeval show gradients` draws it." in drawn
    assert f"nothing of it is in the ledger. {made}s miniature." in due
    assert f"Left out in miniature: one, two: it takes days. {made}." in left
    assert "Left out" not in due


def test_what_is_left_out_of_the_page_is_no_part_of_its_run_at_the_digits_scale():
    own = table(cell("5", ROBUST, left_out="it takes days"), cell("6", ROBUST, row="b"))
    assert [len(own.on_the_page(scale).cells) for scale in ("paper", "digits")] == [2, 1]


@pytest.mark.parametrize(("unit", "zero"), [("%", "0.00"), ("loss", "0")])
def test_rounding_of_floats_is_not_shown_as_a_difference(unit, zero):
    own = cell("0", Ask("delta", finding={"measure": "own"}), unit=unit)
    row = {"measure": "own", "metric": "delta", "value": -1.11e-16, "low": math.nan, "high": math.nan, "n": 0}
    shown = paper_table.comparison(table(own), compare(table(own), NOTHING, [row]), "paper", lambda _: "")
    assert shown.rows[0][3:6] == (zero, f"+{zero}", "equal")


SETTING = measure.settings((PGD,)) | {"content": "c" * 32}


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({"content": "d" * 32}, "other images than the suite's"),
        ({"content": None, "split": "train"}, "other images than the suite's"),
        ({"norm": "l2"}, "norm linf, not l2"),
        ({"eps": 0.3}, "eps 0.1, not 0.3"),
        ({"use": "apgd"}, "use pgd, not apgd"),
        ({"params": "steps=20 step_size=0.02"}, "step_size=0.01, not step_size=0.02"),
        ({"params": "steps=20 step_size=0.01 start=ball"}, "without start=ball"),
        ({"params": "steps=20"}, "with step_size=0.01"),
        ({"select": "any"}, "select final, not any"),
        ({"restarts": 10}, "restarts 1, not 10"),
        ({"minimises": "l2"}, "minimises none, not l2"),
        ({"score": "project"}, "score none, not project"),
        ({"eot": 4}, "eot 1, not 4"),
    ],
)
def test_other_images_or_another_attack_of_that_name_is_not_that_number(results, other, verdict):
    wanted = {key: value for key, value in (SETTING | other).items() if value is not None}
    (entry,) = compare(table(cell("60", ROBUST)), results, [], setting=lambda ask: wanted)
    assert (entry.found, entry.verdict, entry.difference) == (None, verdict, None)
    (own,) = compare(table(cell("60", ROBUST)), results, [], setting=lambda ask: SETTING)
    assert own.verdict == "equal"


def test_what_is_not_finished_has_no_number(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "net", [(CLEAN, "0000"), (PGD, None)])
    entry = one(cell("60", ROBUST), measure.results(ledger, ledger.plans()))
    assert entry.found is None
    assert entry.verdict.startswith("INCOMPLETE: 0 of 1 cells")


def test_a_cell_without_anything_printed_is_not_published_only():
    assert one(cell(""), NOTHING).verdict == "not measured"


def test_the_miniature_is_not_held_against_the_paper(results):
    entry = one(cell("10.00", ROBUST, scale="digits"), results, scale="digits")
    assert (entry.verdict, entry.difference) == ("other data", None)
    assert entry.found.value == pytest.approx(60)


def test_networks_that_stand_in_are_not_held_against_the_paper(results):
    asks = {"paper": {"stand_in": ROBUST, "paper": replace(ROBUST, model="lost")}}
    both = table(cell("10.00", asks=asks), readings={"paper": "theirs", "stand_in": "others"})
    other, own = compare(both, results, [])
    assert (other.verdict, other.difference, other.found.value) == ("other networks", None, pytest.approx(60))
    assert own.verdict == "published only"
    assert "| own | 1 | 0 | 0 | 0 | A table |" in paper_page.page([both], [[other, own]], [[]])


def test_a_gap_has_newcombes_interval(tmp_path):
    """56 of 70 against 48 of 80: 0.0524 to 0.3339 in Newcombe (1998), Table II, method 10."""
    ledger = Ledger(tmp_path)
    fill(ledger, "net", [(PGD, "0" * 56 + "1" * 14)], suite="train")
    fill(ledger, "net", [(PGD, "0" * 48 + "1" * 32)], suite="small")
    ask = replace(ROBUST, suite="train", minus=ROBUST)
    results = measure.results(ledger, ledger.plans())
    found = one(cell("20.0", ask), results).found
    assert (found.value, found.low, found.high) == pytest.approx((20, 5.24, 33.39), abs=0.005)
    assert one(cell("20.0", replace(ask, minus=replace(ROBUST, suite="none"))), results).found is None


# ── measures ──


@pytest.fixture
def measured(tmp_path):
    """Answers about models, and one of a theorem."""
    ledger = Ledger(tmp_path)

    def put(model, finding, **params):
        data = DataSlice("d", "test", "c" * 32, 0, finding.n)
        ledger.put_answer(Measured(Question("lipschitz", params, model, "w", data), (finding,)))

    put("net", Finding("lipschitz", 12.3, 11.0, 13.5, 50), eps=0.1, variant="definition")
    put("net", Finding("lipschitz", 12.1, n=200), eps=0.1, variant="definition")
    put("net", Finding("lipschitz", 1.08, n=200), eps=0.1, variant="released")
    put("twice", Finding("lipschitz", 1.0, n=9), eps=0.1)
    put("twice", Finding("lipschitz", 2.0, n=9), eps=0.2)
    put("text", Finding("lipschitz", math.nan, n=9))
    theory = Finding("natural_accuracy", 0.998, 0.99, 1.0, at="mean, closed form")
    ledger.put_answer(Measured(Question("tsipras", {"p": 0.95}), (theory,)))
    return findings.rows(ledger)


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ({}, 12.1),  # of the most samples
        ({"finding": {"measure": "lipschitz", "variant": "definition", "n": 50}}, 12.3),
        ({"finding": {"measure": "lipschitz", "variant": "released", "eps": 0.1}}, 1.08),
        ({"finding": {"measure": "lipschitz", "variant": "definition", "eps": 0.2}}, None),
        ({"finding": {"measure": "lipschitz", "variant": "definition", "dataset": "e"}}, None),
        ({"finding": {"measure": "lipschitz", "nothing": 1}}, None),
        ({"model": "twice"}, None),  # which of the two is not said
        ({"model": "text"}, None),
        ({"model": "none"}, None),
        ({"metric": "other"}, None),
    ],
)
def test_measures_are_found_by_all_that_is_said_of_them(measured, other, value):
    about = {"finding": {"measure": "lipschitz", "variant": "definition"}} if "model" not in other else {}
    ask = replace(Ask("lipschitz", "net", finding={"measure": "lipschitz"}), **(about | other))
    entry = one(cell("12.25", ask, unit="ratio"), NOTHING, measured)
    assert (entry.found and entry.found.value) == value
    assert (entry.verdict == "published only") == (value is None)


def test_shares_of_a_measure_are_shown_in_percent(measured):
    ask = Ask("natural_accuracy", finding={"measure": "tsipras", "at": "mean, closed form", "p": 0.95})
    found = one(cell("99.8", ask), NOTHING, measured).found
    assert (found.value, found.low, found.high) == pytest.approx((99.8, 99, 100))


# ── what is shown ──


def test_readings_stand_beside_each_other(results):
    asks = {"paper": {"sound": ROBUST, "old": replace(ROBUST, attack="clean")}}
    both = table(cell("60.0", asks=asks, notes=("because",)), readings={"sound": "now", "old": "then"})
    shown = paper_table.comparison(both, compare(both, results, []), "paper", lambda _: "?")
    assert shown.header == ("row", "cell", "published", "sound", "diff.", "", "old", "diff.", "", "n", "notes")
    sound, old = ("60.00 [53.1,66.5]", "+0.00", "equal"), ("90.00 [85.1,93.4]", "+30.00", "DIFFERS")
    assert shown.rows == (("a row", "robust %", "60.0", *sound, *old, "200", "[1]"),)
    assert shown.notes[-1] == "[1] because"
    assert "1 of 1 cells measured; 1 differ" in shown.notes


def test_what_is_missing_is_said_once(results):
    cells = [cell("1", row="a"), cell("2", row="a", column="b"), cell("60", ROBUST, row="c", spread="0.5")]
    many = table(*cells)
    shown = paper_table.comparison(many, compare(many, results, []), "paper", lambda _: "weights")
    assert [row[0] for row in shown.rows] == ["a", "", "c"]
    assert [row[3:] for row in shown.rows[:2]] == [("–", "–", "published only", "", "[1]")] * 2
    assert shown.rows[2][2] == "60 ± 0.5"
    assert [note for note in shown.notes if "weights" in note] == ["[1] weights"]


def test_pairs_of_rows_are_counted_by_their_order(tmp_path):
    ledger = Ledger(tmp_path)
    kept = {"a": 100, "b": 150, "c": 151, "d": 190}
    for name, robust in kept.items():
        fill(ledger, name, [(PGD, "0" * robust + "1" * (200 - robust))])
    published = {"a": "90", "b": "50", "c": "60", "d": "95"}
    cells = [cell(published[name], replace(ROBUST, model=name), row=name, scale="digits") for name in kept]
    entries = compare(table(*cells), measure.results(ledger, ledger.plans()), [], "digits")
    # a-b, a-c the other way; a-d, b-d, c-d as published; b-c overlap
    assert order(entries) == ["robust %: of 6 pairs of rows 3 stand as published, 2 the other way, 1 undecided"]


def test_the_page_has_what_is_measured_and_names_the_rest(results):
    two = [table(cell("60.0", ROBUST)), replace(table(cell("1")), id="other")]
    found = [compare(each, results, []) for each in two]
    text = paper_page.page(two, found, [[], []])
    assert "| own | 1 | 1 | 0 | 0 | A table |" in text
    assert "| a row | robust % | 60.0 | 60.00 [53.1,66.5] | +0.00 | equal | 200 |  |" in text
    assert "Somebody, Table 1. Published only: nothing of it is in the ledger." in text


def test_the_tidy_form_has_every_cell_in_full_precision(results):
    many = table(cell("60.0", ROBUST), cell("7", row="b", quoted="others"))
    tidy = paper_table.tidy(many, compare(many, results, []), lambda _: "weights")
    assert list(tidy.columns) == list(paper_table.COLUMNS)
    assert list(tidy.measured.dropna()) == [pytest.approx(60)]
    assert list(tidy.missing) == ["", "weights"]
    assert list(tidy.verdict) == ["equal", "published only"]


def test_what_is_the_same_question_at_both_scales_is_compared_at_both(measured):
    ask = Ask("natural_accuracy", finding={"measure": "tsipras", "at": "mean, closed form"})
    same = one(cell("99.8", asks={scale: {"": ask} for scale in ("paper", "digits")}), NOTHING, measured, "digits")
    assert (same.verdict, same.is_miniature) == ("equal", False)


def test_closed_forms_are_certain_in_order_and_are_not_of_other_data(tmp_path):
    ledger = Ledger(tmp_path)
    for p, value in ((0.75, 0.4), (0.95, 0.6)):
        ledger.put_answer(Measured(Question("tsipras", {"p": p}), (Finding("natural_accuracy", value),)))
    asks = {p: Ask("natural_accuracy", finding={"measure": "tsipras", "p": p}) for p in (0.75, 0.95)}
    cells = [
        cell(printed, row=f"{p}", asks={scale: {"": asks[p]} for scale in ("paper", "digits")})
        for p, printed in ((0.75, "40"), (0.95, "60"))
    ]
    entries = compare(table(*cells), NOTHING, findings.rows(ledger), "digits")
    assert order(entries) == ["robust %: of 1 pairs of rows 1 stand as published, 0 the other way, 0 undecided"]
    shown = paper_table.comparison(table(*cells), entries, "digits", lambda _: "")
    assert not [note for note in shown.notes if "other data" in note or "pairs of rows" in note]
