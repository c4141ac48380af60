"""Intervals of means and medians, against coverage and tables."""

import numpy as np
import pytest
from scipy import stats

from robeval.values import interval


def test_the_mean_of_ten_numbers():
    values = np.arange(10.0)
    expected = stats.t.interval(0.95, 9, loc=4.5, scale=stats.sem(values))
    assert interval.of_mean(values) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.inf]])
def test_a_mean_without_interval(values):
    assert np.isnan(interval.of_mean(np.array(values))).all()


# Conover, Practical Nonparametric Statistics: the ranks of a 95 % interval of the median.
@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (100, 40, 61)])
def test_the_ranks_of_the_median(n, low, high):
    assert interval.of_median(np.arange(1.0, n + 1)) == (low, high)


def test_the_median_of_few_or_of_infinite_values():
    assert np.isnan(interval.of_median(np.arange(5.0))).all()
    assert interval.of_median(np.array([1.0] * 3 + [np.inf] * 7)) == (1.0, np.inf)


def test_the_median_is_covered():
    draw = np.random.default_rng(0)
    samples = draw.exponential(size=(2000, 25))
    hits = [low <= np.log(2) <= high for low, high in map(interval.of_median, samples)]
    assert np.mean(hits) > 0.94
