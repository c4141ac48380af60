"""Two models beside each other, sample by sample."""

import math

import numpy as np
from numpy.typing import NDArray

from robeval.reports.measure import Board
from robeval.reports.paired import LEVEL, mcnemar
from robeval.values.table import Table

NORMAL = 1.959964  # 97.5 % of a normal distribution are below


def table(boards: list[Board], one: str, other: str) -> Table:
    """One row per suite and set of samples that both models have answered.

    The difference is that of the robust accuracies in points, with its 95 % interval; p is of McNemar's exact test.
    """
    rows = [
        (
            board.suite,
            f"{board.dataset} ({board.split}), {board.norm} {board.eps:.4g}",
            str(len(board.robust[one])),
            *_row(board.robust[one], board.robust[other]),
        )
        for board in boards
        if {one, other} <= board.robust.keys()
    ]
    header = (
        "suite", "threat model", "n", f"{one}", f"{other}", f"only {one}", f"only {other}",
        "difference [95 % CI]", "p", "verdict",
    )  # fmt: skip
    notes = (
        "robust accuracy in % over the worst case of all attacks; 'only': samples that withstood with one model alone",
    )
    return Table(f"{one} against {other}", header, tuple(rows), notes)


def _row(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[str, ...]:
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    low, high = interval(first, second, len(one))
    p = mcnemar(one, other)
    verdict = "no significant difference" if p >= LEVEL else "first is better" if first > second else "second is better"
    return (
        f"{100 * one.mean():.2f}",
        f"{100 * other.mean():.2f}",
        str(first),
        str(second),
        f"{100 * (first - second) / len(one):+.2f} [{100 * low:+.1f},{100 * high:+.1f}]",
        f"{p:.2g}" if p >= 1e-4 else "< 0.0001",
        verdict,
    )


def interval(first: int, second: int, n: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two paired proportions: Wald's, adjusted (Bonett & Price, 2012).

    One sample is added to each of the two kinds of disagreement.

    Args:
        first, second: samples that are right only here, and only there, of `n`.
    """
    share, other = (first + 1) / (n + 2), (second + 1) / (n + 2)
    half = NORMAL * math.sqrt((share + other - (share - other) ** 2) / (n + 2))
    return max(share - other - half, -1.0), min(share - other + half, 1.0)
