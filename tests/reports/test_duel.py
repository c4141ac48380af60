"""Two models beside each other."""

import numpy as np
import pytest
from records import fill, spec

from robeval.ledger.store import Ledger
from robeval.reports import duel, measure


def compared(tmp_path, *models, one="a", other="b"):
    ledger = Ledger(tmp_path)
    for place, (name, broken) in enumerate(models):
        fill(ledger, name, [(spec(), broken)], suite="small" if place < 2 else "large")
    return duel.table(measure.boards(ledger, ledger.plans()), one, other)


def test_the_samples_that_only_one_withstood_are_counted(tmp_path):
    table = compared(tmp_path, ("a", "0" * 30 + "1" * 10), ("b", "1" * 12 + "0" * 19 + "1" * 9))
    (row,) = table.rows
    assert row[0] == "small"
    assert row[2:7] == ("40", "75.00", "47.50", "12", "1")
    assert row[7].startswith("+27.50 [")
    assert row[8:] == ("0.0034", "first is better")


def test_the_other_way_round_the_signs_change(tmp_path):
    table = compared(tmp_path, ("a", "0" * 30 + "1" * 10), ("b", "1" * 12 + "0" * 19 + "1" * 9), one="b", other="a")
    assert table.rows[0][7].startswith("-27.50 [")
    assert table.rows[0][9] == "second is better"


def test_chance_is_called_chance(tmp_path):
    table = compared(tmp_path, ("a", "0" * 38 + "11"), ("b", "1" + "0" * 39))
    assert table.rows[0][9] == "no significant difference"


def test_other_samples_are_not_compared(tmp_path):
    assert compared(tmp_path, ("a", "0" * 40), ("b", "0" * 20)).rows == ()


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    draw, held, n = np.random.default_rng(0), 0, 60
    for _ in range(2000):
        kinds = draw.choice(4, n, p=[0.5, 0.2, 0.08, 0.22])
        low, high = duel.interval(int((kinds == 1).sum()), int((kinds == 2).sum()), n)
        held += low <= 0.12 <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (10, 0), (0, 10)])
def test_the_interval_stays_within_the_possible(first, second):
    low, high = duel.interval(first, second, 10)
    assert -1 <= low < high <= 1
