"""Paired comparisons against counting by hand and other libraries' corrections."""

import math

import numpy as np
import pytest

from robeval.reports.paired import holm, mcnemar, ranks


def standing(*blocks):
    """Robust or not, from (how many, 0 or 1)."""
    return np.concatenate([np.full(count, bool(value)) for count, value in blocks])


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 1), (3, 12), (40, 40), (0, 20)])
def test_mcnemar_is_a_coin_tossed_for_each_sample_on_which_they_differ(first, second):
    one = standing((first, 1), (second, 0), (30, 1), (7, 0))
    other = standing((first, 0), (second, 1), (30, 1), (7, 0))
    n, least = first + second, min(first, second)
    tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    assert mcnemar(one, other) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(one, other) == mcnemar(other, one)


def test_holm_multiplies_the_least_by_the_number_of_tests_and_never_goes_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_ranks_count_who_is_significantly_better():
    robust = {
        "poor": standing((10, 1), (90, 0)),
        "best": standing((90, 1), (10, 0)),
        "good": standing((87, 1), (13, 0)),
        "fair": standing((60, 1), (40, 0)),
    }
    assert ranks(robust) == {"best": 1, "good": 1, "fair": 3, "poor": 4}


def test_more_models_need_more_evidence():
    """Six samples of difference are enough for a pair, p = 0.03, and not among twenty models."""
    one, other = standing((50, 1)), standing((44, 1), (6, 0))
    assert ranks({"one": one, "other": other}) == {"one": 1, "other": 2}
    many = {f"as one {place}": one for place in range(18)}
    assert set(ranks({"one": one, "other": other} | many).values()) == {1}
