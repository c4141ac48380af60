"""Accuracies, intervals and the worst case, from verdicts that the test chose."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import records
from records import LINF, fill, spec

from robeval.ledger.store import Ledger
from robeval.reports import measure
from robeval.values.cell import CellFailure
from robeval.values.interval import wilson
from robeval.values.threat import ThreatModel

CLEAN = spec("clean", use="clean", params={})
PGD, FGSM = spec(), spec("fgsm", use="fgsm", params={})


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def row(table, attack, model="net"):
    (found,) = table[(table.attack == attack) & (table.model == model)].to_dict("records")
    return found


# ── the interval ──


def by_the_formula(k, n):
    """Wilson (1927) as it is printed in books."""
    z = NormalDist().inv_cdf(0.975)
    middle = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(k * (n - k) / n + z**2 / 4)
    return middle - half, middle + half


@pytest.mark.parametrize("n", [1, 2, 10, 602, 10_000])
def test_wilson_is_the_formula(n):
    for k in {0, 1, n // 3, n - 1, n}:
        assert wilson(k, n) == pytest.approx(by_the_formula(k, n), abs=1e-12)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_has_the_published_values(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


# ── one attack ──


def test_the_columns(ledger):
    table = measure.results(ledger, [fill(ledger, "net", [(CLEAN, "0000"), (PGD, "0110")])])
    asked = (
        "model dataset norm eps attack params select n natural_accuracy robust_accuracy ci_low ci_high "
        "seconds forwards forwards_per_sample backwards backwards_per_sample"
    )
    assert set(asked.split()) <= set(table.columns)
    assert list(table.columns) == list(measure.COLUMNS)
    assert list(table.attack) == ["clean", "pgd20", "worst_case"]


def test_no_plans_make_an_empty_table_with_all_columns(ledger):
    table = measure.results(ledger, [])
    assert list(table.columns) == list(measure.COLUMNS)
    assert table.empty
    assert measure.samples(ledger, []).empty


def test_what_a_row_says(ledger):
    attack = spec(restarts=5, select="any", params={"steps": 20, "step_size": 2 / 255, "kappa": None, "clip": True})
    table = measure.results(ledger, [fill(ledger, "net", [(attack, "0110110000")], natural="1111111110")])
    found = row(table, "pgd20")
    expected = {
        "suite": "small", "model": "net", "dataset": "digits", "split": "test", "norm": "linf", "eps": 0.1,
        "attack": "pgd20", "use": "pgd", "params": "steps=20 step_size=0.00784314 clip=true", "select": "any",
        "restarts": 5, "seed": 0, "n": 10, "natural_accuracy": 0.9, "robust_accuracy": 0.5, "seconds": 1.5,
        "forwards": 30, "backwards": 20, "escaped": 0, "nonfinite": 0, "status": "complete",
        "forwards_per_sample": 3, "backwards_per_sample": 2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(by_the_formula(5, 10))


def test_slices_add_up(ledger):
    slices = [records.cell(PGD, start=0, stop=4), records.cell(PGD, start=4, stop=7)]
    for about, broken in zip(slices, ("0110", "111"), strict=True):
        ledger.put(records.result(about, broken, seconds=0.25))
    plan = records.plan("net", {"pgd20": ((PGD,), tuple((about.key,) for about in slices))}, 7)
    found = row(measure.results(ledger, [plan]), "pgd20")
    assert (found["n"], found["robust_accuracy"]) == (7, 2 / 7)
    assert (found["seconds"], found["forwards"], found["backwards"]) == (0.5, 21, 14)
    assert (found["forwards_per_sample"], found["backwards_per_sample"]) == (3, 2)
    samples = measure.samples(ledger, [plan])
    assert list(samples["sample"]) == list(range(7))
    assert list(samples.broken) == [False, True, True, False, True, True, True]


def test_a_chain_has_the_verdicts_of_its_last_cell_and_the_cost_of_all(ledger):
    first = records.cell(spec("a"))
    second = records.cell(spec("b", use="fgsm", params={}), after=first.key)
    ledger.put(records.result(first, "0100"))
    ledger.put(records.result(second, "0110"))
    plan = records.plan("net", {"both": ((first.attack, second.attack), ((first.key, second.key),))}, 4)
    found = row(measure.results(ledger, [plan]), "both")
    assert (found["robust_accuracy"], found["seconds"], found["forwards"]) == (0.5, 3.0, 24)
    assert found["use"] == "pgd + fgsm"
    assert len(measure.samples(ledger, [plan])) == 4


def test_passes_per_sample_of_a_chain_and_its_parts_and_of_the_worst_case_are_means_over_all_samples(ledger):
    first, alone = records.cell(spec("a")), records.cell(FGSM)
    second = records.cell(spec("b", use="fgsm", params={}), after=first.key)
    ledger.put(records.result(alone, "0000"))
    ledger.put(records.result(first, "0100"))
    left = records.result(second, "0110")
    np.put(left.verdicts.queries, [0, 1, 2, 3], [9, 0, 1, 4])
    np.put(left.verdicts.backwards, [0, 1, 2, 3], [5, 0, 0, 0])
    ledger.put(left)
    chains = {"both": ((first.attack, second.attack), ((first.key, second.key),)), "fgsm": ((FGSM,), ((alone.key,),))}
    table = measure.results(ledger, [records.plan("net", chains, 4)]).set_index("attack")
    expected = {"a": (3, 2), "b": (14 / 4, 5 / 4), "both": (26 / 4, 13 / 4), "fgsm": (3, 2), "worst_case": (9.5, 5.25)}
    for name, passes in expected.items():
        assert tuple(table.loc[name, ["forwards_per_sample", "backwards_per_sample"]]) == passes


def test_passes_per_sample_are_empty_while_a_cell_is_missing(ledger):
    done, missing = (records.cell(PGD, start=start, stop=start + 4) for start in (0, 4))
    ledger.put(records.result(done, "0110"))
    plan = records.plan("net", {"pgd20": ((PGD,), ((done.key,), (missing.key,)))}, 8)
    table = measure.results(ledger, [plan])
    assert list(table.forwards) == [12, 12]
    assert table[["forwards_per_sample", "backwards_per_sample"]].isna().all(axis=None)


# ── the worst case ──


def test_the_worst_case_is_per_sample_and_not_the_least_accuracy(ledger):
    outcomes = [(CLEAN, "0000000000"), (PGD, "1110000000"), (FGSM, "0011100000")]
    table = measure.results(ledger, [fill(ledger, "net", outcomes, natural="1111111101")])
    accuracies = [row(table, name)["robust_accuracy"] for name in ("clean", "pgd20", "fgsm")]
    assert accuracies == [0.9, 0.6, 0.6]
    worst = row(table, "worst_case")
    assert worst["robust_accuracy"] == 0.4
    assert worst["natural_accuracy"] == 0.9
    assert (worst["ci_low"], worst["ci_high"]) == pytest.approx(by_the_formula(4, 10))
    assert (worst["n"], worst["seconds"], worst["forwards"]) == (10, 4.5, 90)
    assert worst["use"] == "clean | pgd20 | fgsm"


def test_the_worst_case_is_per_sample_over_slices(ledger):
    rows = {}
    for attack, parts in ((PGD, ("10", "00")), (FGSM, ("00", "01"))):
        slices = [records.cell(attack, start=start, stop=start + 2) for start in (0, 2)]
        for about, broken in zip(slices, parts, strict=True):
            ledger.put(records.result(about, broken))
        rows[attack.id] = (attack,), tuple((about.key,) for about in slices)
    assert row(measure.results(ledger, [records.plan("net", rows, 4)]), "worst_case")["robust_accuracy"] == 0.5


@pytest.mark.parametrize("threat", [ThreatModel("linf", 0.11), ThreatModel("l2", 0.05)])
def test_an_attack_outside_the_threat_model_is_no_part_of_the_worst_case(ledger, threat):
    outcomes = [(PGD, "1000"), (spec("outside", threat), "1111")]
    worst = row(measure.results(ledger, [fill(ledger, "net", outcomes)]), "worst_case")
    assert worst["robust_accuracy"] == 0.75
    assert worst["use"] == "pgd20"
    assert (worst["norm"], worst["eps"]) == (LINF.norm, LINF.eps)


def test_an_attack_with_a_smaller_ball_is_part_of_the_worst_case(ledger):
    outcomes = [(PGD, "1000"), (spec("smaller", ThreatModel("linf", 0.05)), "0001")]
    worst = row(measure.results(ledger, [fill(ledger, "net", outcomes)]), "worst_case")
    assert worst["robust_accuracy"] == 0.5


def test_a_chain_with_one_attack_outside_is_no_part_of_the_worst_case(ledger):
    outside = spec("b", ThreatModel("linf", 0.2))
    first, alone = records.cell(spec("a")), records.cell(FGSM)
    second = records.cell(outside, after=first.key)
    for about, broken in ((first, "0000"), (second, "1111"), (alone, "0001")):
        ledger.put(records.result(about, broken))
    rows = {"both": ((first.attack, outside), ((first.key, second.key),)), "fgsm": ((FGSM,), ((alone.key,),))}
    worst = row(measure.results(ledger, [records.plan("net", rows, 4)]), "worst_case")
    assert (worst["use"], worst["robust_accuracy"]) == ("fgsm", 0.75)


def test_without_an_attack_inside_the_threat_model_there_is_no_worst_case(ledger):
    table = measure.results(ledger, [fill(ledger, "net", [(spec("outside", ThreatModel("linf", 0.2)), "1111")])])
    assert list(table.attack) == ["outside"]


def test_each_model_has_its_own_worst_case(ledger):
    plans = [fill(ledger, "one", [(PGD, "1000")]), fill(ledger, "two", [(PGD, "1110")])]
    table = measure.results(ledger, plans)
    assert [row(table, "worst_case", model)["robust_accuracy"] for model in ("one", "two")] == [0.75, 0.25]


# ── what is not finished ──


def no_accuracy(found):
    return all(pd.isna(found[name]) for name in ("natural_accuracy", "robust_accuracy", "ci_low", "ci_high"))


def test_an_unfinished_attack_has_no_accuracy_and_says_how_much_is_there(ledger):
    slices = [records.cell(PGD, start=start, stop=start + 4) for start in (0, 4, 8)]
    ledger.put(records.result(slices[1], "0101"))
    rows = {"pgd20": ((PGD,), tuple((about.key,) for about in slices))}
    table = measure.results(ledger, [records.plan("net", rows, 12)])
    found = row(table, "pgd20")
    assert no_accuracy(found)
    assert (found["status"], found["n"]) == ("INCOMPLETE: 1 of 3 cells", 4)
    worst = row(table, "worst_case")
    assert no_accuracy(worst)
    assert (worst["status"], worst["n"]) == ("INCOMPLETE: without pgd20", 4)


def test_a_failed_attack_says_why_and_the_others_keep_their_accuracy(ledger):
    plan = fill(ledger, "net", [(CLEAN, "0000"), (PGD, None), (FGSM, "0001")])
    ledger.fail(CellFailure(records.cell(PGD, "net", 0, 4), "RuntimeError: it gave up", "..."))
    table = measure.results(ledger, [plan])
    assert row(table, "pgd20")["status"] == "INCOMPLETE: 0 of 1 cells; RuntimeError: it gave up"
    assert no_accuracy(row(table, "pgd20"))
    assert row(table, "fgsm")["robust_accuracy"] == 0.75
    assert no_accuracy(row(table, "worst_case"))
    assert row(table, "worst_case")["status"] == "INCOMPLETE: without pgd20"


def test_a_chain_without_its_last_cell_has_no_accuracy(ledger):
    first, second = records.cell(spec("a")), records.cell(spec("b"), after="x")
    ledger.put(records.result(first, "0100"))
    plan = records.plan("net", {"both": ((first.attack, second.attack), ((first.key, second.key),))}, 4)
    found = row(measure.results(ledger, [plan]), "both")
    assert no_accuracy(found)
    assert found["status"] == "INCOMPLETE: 1 of 2 cells"


def test_a_chain_with_its_last_cell_only_has_no_accuracy(ledger):
    first, second = records.cell(spec("a")), records.cell(spec("b"), after="x")
    ledger.put(records.result(second, "0100"))
    plan = records.plan("net", {"both": ((first.attack, second.attack), ((first.key, second.key),))}, 4)
    assert no_accuracy(row(measure.results(ledger, [plan]), "both"))


def test_an_unfinished_attack_outside_the_threat_model_leaves_the_worst_case_alone(ledger):
    outcomes = [(PGD, "1000"), (spec("outside", ThreatModel("linf", 0.2)), None)]
    table = measure.results(ledger, [fill(ledger, "net", outcomes)])
    assert row(table, "worst_case")["robust_accuracy"] == 0.75
    assert no_accuracy(row(table, "outside"))
