"""What a row of a ledger must say to be the number of a cell."""

import pytest

from robeval.cli.table_asks import whole
from robeval.reports import papers
from robeval.values.paper import SCALES, Ask

TABLES = papers.catalog()


def test_defaults_and_seed_are_filled_in():
    said = whole(Ask("natural_accuracy", finding={"measure": "tsipras", "at": "x", "p": 0.75, "n": 5}), 3)
    assert said == {
        "measure": "tsipras", "at": "x", "p": 0.75, "d": 100, "eta": None, "eps": None, "deltas": (0.01, 0.04),
        "params.n": 5, "seed": 3, "version": 1,
    }  # fmt: skip


def test_measures_of_data_draw_nothing():
    assert whole(Ask("minimum", finding={"measure": "separation", "dataset": "digits"}), 3)["seed"] == 0


def test_what_no_measure_takes_is_left_as_it_is():
    for finding in ({"measure": "gone"}, {"measure": "tsipras", "gone": 1}):
        assert whole(Ask("natural_accuracy", finding=finding), 0) == finding


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_number_of_the_papers_is_asked_for_with_all_parameters(name):
    asks = [ask for scale in SCALES for ask in TABLES[name].asks(scale) if ask.finding]
    assert [ask for ask in asks if "version" not in whole(ask, 0)] == []  # a `finding` says what its measure takes
