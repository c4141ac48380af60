"""Answers of measures are whole or absent, and come out of a ledger as they were put in."""

import numpy as np
import pandas as pd
import pytest

from robeval.ledger.store import Ledger
from robeval.values.cell import DataSlice
from robeval.values.measurement import Finding, Measured, Question

QUESTION = Question(
    "separation", {"drop": 2, "radii": [0.1, 1 / 3], "name": None}, "net", "w" * 32,
    DataSlice("digits", "test", "c" * 32, 0, 3), "r" * 32, "tiny", ("k" * 32,), 5, 2,
)  # fmt: skip
FINDINGS = (Finding("a", 1 / 3, 0.1, 0.7, 3, "here"), Finding("b", np.inf), Finding("c", np.nan))
COLUMNS = {
    "distance": np.array([0.1, np.nan, np.inf]),
    "wrong": np.array([[True, False], [False, False], [True, True]]),
    "place": np.array([1, 2, -1], np.int64),
}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def made(question=QUESTION, findings=FINDINGS, columns=COLUMNS):
    return Measured(question, findings, columns, 1.5, {"device": "naïve"})


def same(one, other):
    assert repr((one.question, one.findings)) == repr((other.question, other.findings))
    assert one.question.key == other.question.key
    assert (one.seconds, one.made_with) == (other.seconds, other.made_with)
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        assert column.dtype == other.columns[name].dtype
        np.testing.assert_array_equal(column, other.columns[name])


@pytest.mark.parametrize("part", [False, True])
def test_what_is_put_comes_out_equal(ledger, part):
    assert ledger.answer("separation", QUESTION.key, part=part) is None
    ledger.put_answer(made(), part=part)
    same(Ledger(ledger.root).answer("separation", QUESTION.key, part=part), made())
    assert ledger.answer("separation", QUESTION.key, part=not part) is None


def test_theory_has_no_samples(ledger):
    about = Question("spirals", {"points": 3})
    ledger.put_answer(made(about, columns={}))
    same(ledger.answer("spirals", about.key), made(about, columns={}))


def test_answers_are_listed_and_parts_are_not(ledger):
    ledger.put_answer(made())
    ledger.put_answer(made(Question("gradients")))
    ledger.put_answer(made(Question("margin")), part=True)
    assert [each.question.measure for each in ledger.answers()] == ["gradients", "separation"]
    ledger.forget_part("margin", Question("margin").key)
    ledger.forget_part("margin", Question("margin").key)  # is not there any more
    assert not list(ledger.root.glob("parts/*/*"))


def test_a_damaged_file_is_set_aside(ledger):
    ledger.put_answer(made())
    (path,) = ledger.root.glob("measures/*/*.parquet")
    content = path.read_bytes()
    for damaged in (content[:-40], b"", content[:60] + bytes([content[60] ^ 1]) + content[61:]):
        path.write_bytes(damaged)
        assert ledger.answer("separation", QUESTION.key) is None
        assert list(ledger.answers()) == []
        assert not path.exists()
    assert len(ledger.notes()) == 3


def test_a_file_under_another_name_is_not_the_answer(ledger):
    ledger.put_answer(made())
    (path,) = ledger.root.glob("measures/*/*.parquet")
    path.rename(path.with_name("f" * 32 + ".parquet"))
    assert ledger.answer("separation", "f" * 32) is None


def test_all_that_can_change_an_answer_is_in_its_key():
    from dataclasses import replace

    others = [
        {"measure": "x"}, {"params": {}}, {"model": "other"}, {"weights": "v" * 32}, {"data": None}, {"reference": ""},
        {"suite": ""}, {"cells": ()}, {"seed": 6}, {"version": 3},
    ]  # fmt: skip
    assert len({QUESTION.key} | {replace(QUESTION, **each).key for each in others}) == 1 + len(others)


def test_the_answers_of_one_measure_are_one_table(ledger):
    ledger.put_answer(made())
    ledger.put_answer(made(Question("separation", {"drop": 1})))
    table = pd.read_parquet(ledger.root / "measures" / "separation")
    assert len(table) == 6
    assert set(table.params) == {"drop=2 radii=0.1,0.333333", "drop=1"}
    assert list(table.wrong[0]) == [True, False]
