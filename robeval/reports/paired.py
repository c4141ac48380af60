"""Two models on the same samples: which differences are more than chance."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

LEVEL = 0.05  # of all comparisons of one ranking together


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The exact two-sided p-value of McNemar's test (McNemar, 1947): both answer equally often right.

    Of the samples on which the two differ, each should then have half: a binomial test.

    Args:
        one, other: whether each sample counts as right, bool (n,), in the same order.
    """
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    return float(binomtest(first, first + second).pvalue) if first + second else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """P-values of several tests, corrected so that all of them together err with the level of one (Holm, 1979)."""
    corrected, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = largest
    return corrected


def ranks(robust: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    """One more than the number of models that are significantly better; so models that do not differ share a rank.

    Pairs are compared by McNemar's exact test, with Holm's correction over all pairs, at the 5 % level.

    Args:
        robust: of each model which samples withstood, bool (n,), all in the same order.
    """
    pairs = list(combinations(robust, 2))
    p = holm([mcnemar(robust[one], robust[other]) for one, other in pairs])
    better = dict.fromkeys(robust, 0)
    for (one, other), value in zip(pairs, p, strict=True):
        if value < LEVEL:
            better[one if robust[one].sum() < robust[other].sum() else other] += 1
    return {name: count + 1 for name, count in better.items()}
