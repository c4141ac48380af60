"""95 % intervals."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, t

Interval = tuple[float, float]


def wilson(successes: int, n: int) -> Interval:
    """The 95 % Wilson score interval of a proportion (Wilson, 1927, without continuity correction)."""
    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def of_mean(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """Student's 95 % interval of a mean; NaN where there are fewer than two values or one is not finite."""
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    middle = float(np.mean(values))
    return middle - half, middle + half


def of_median(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """The 95 % interval of a median between two of the ordered values, without any assumption (Thompson, 1936).

    NaN where there are fewer than six values, as no two of them hold it with that certainty.
    """
    n = len(values)
    rank = int(binom.ppf(0.025, n, 0.5))  # at most 2.5 % that so many values, less one, are below the median
    if rank < 1:
        return math.nan, math.nan
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[n - rank])
