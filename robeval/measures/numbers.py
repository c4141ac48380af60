"""Findings that many measures have: means, medians, extremes and shares with their intervals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.values.interval import of_mean, of_median, wilson
from robeval.values.measurement import Finding


def mean(metric: str, values: NDArray[Any], at: str = "") -> Finding:
    """The mean of some values; NaN of none."""
    exact = values.astype(np.float64)
    return Finding(metric, float(exact.mean()) if len(exact) else np.nan, *of_mean(exact), len(exact), at)


def median(metric: str, values: NDArray[Any], at: str = "") -> Finding:
    """The median of some values; NaN of none."""
    exact = np.sort(values.astype(np.float64))
    low, high = (exact[(len(exact) - 1) // 2], exact[len(exact) // 2]) if len(exact) else (np.nan, np.nan)
    middle = low if low == high else (low + high) / 2  # of two infinite ones, not their difference
    return Finding(metric, float(middle), *of_median(exact), len(exact), at)


def least(metric: str, values: NDArray[Any], at: str = "") -> Finding:
    """The smallest of some values; NaN of none."""
    return Finding(metric, float(values.min()) if len(values) else np.nan, n=len(values), at=at)


def largest(metric: str, values: NDArray[Any], at: str = "") -> Finding:
    """The largest of some values; NaN of none."""
    return Finding(metric, float(values.max()) if len(values) else np.nan, n=len(values), at=at)


def share(metric: str, hits: NDArray[np.bool_], at: str = "") -> Finding:
    """How many of some samples, as a fraction; NaN of none."""
    return counted(metric, int(hits.sum()), len(hits), at)


def counted(metric: str, hits: int, n: int, at: str = "") -> Finding:
    """`hits` of `n` samples, as a fraction; NaN of none."""
    return Finding(metric, hits / n, *wilson(hits, n), n, at) if n else Finding(metric, np.nan, at=at)
