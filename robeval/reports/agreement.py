"""Verdicts of pairs of attacks on the same samples -> tables that compare them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from robeval.values.pair import Pair
from robeval.values.table import Table

_MISSING = "INCOMPLETE"


def agreement(samples: pd.DataFrame, pairs: Sequence[Pair], caption: str) -> Table:
    """For each pair the robust accuracies, and how many samples both, one or none of them broke."""
    rows: list[tuple[str, ...]] = []
    for pair in pairs:
        both = _joined(samples, pair)
        if both is None:
            rows.append((pair.ours, pair.use, *7 * (_MISSING,)))
            continue
        ours, theirs = both.broken_ours, both.broken_theirs
        counts = (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs)
        shares = (f"{100 * (~broken).mean():.2f}" for broken in (ours, theirs))
        rows.append((pair.ours, pair.use, str(len(both)), *shares, *(str(int(each.sum())) for each in counts)))
    header = ("attack", "reference", "n", "ours", "theirs", "both broke", "only ours", "only theirs", "neither")
    notes = tuple(f"{pair.theirs}: definitions differ: {pair.differs}" for pair in pairs if pair.differs)
    return Table(f"{caption}: robust accuracy in %, and samples broken", header, tuple(rows), notes)


def costs(results: pd.DataFrame, samples: pd.DataFrame, pairs: Sequence[Pair], caption: str) -> Table:
    """For each pair passes per attacked sample, seconds, and for minimal distances their medians."""
    seconds = dict(zip(results.attack, results.seconds))
    rows: list[tuple[str, ...]] = []
    for pair in pairs:
        both = _joined(samples, pair)
        if both is None:
            rows.append((pair.ours, pair.use, *6 * (_MISSING,)))
            continue
        measured = [
            (_passes(both, side), f"{seconds[name]:.1f}", _median(both, side) if pair.minimal else "")
            for side, name in (("ours", pair.ours), ("theirs", pair.theirs))
        ]
        rows.append((pair.ours, pair.use, *(each for values in zip(*measured) for each in values)))
    header = ["attack", "reference", "passes: ours", "theirs", "seconds: ours", "theirs"]
    notes = ["the seconds of a library's first attack include loading it"]
    if any(pair.minimal for pair in pairs):
        header += ["median distance: ours", "theirs"]
        notes.append("a sample for which no image was found counts as infinitely far")
    return Table(
        f"{caption}: forward and backward passes per sample",
        tuple(header),
        tuple(row[: len(header)] for row in rows),
        tuple(notes),
    )


def _joined(samples: pd.DataFrame, pair: Pair) -> pd.DataFrame | None:
    """The verdicts of both on each sample, or None where one of them is not finished."""
    if samples.empty:
        return None
    ours, theirs = (samples[samples.attack == name] for name in (pair.ours, pair.theirs))
    if ours.empty or len(ours) != len(theirs):
        return None
    return ours.merge(theirs, on="sample", suffixes=("_ours", "_theirs"), validate="one_to_one")


def _passes(both: pd.DataFrame, side: str) -> str:
    attacked = both[both[f"attacked_{side}"]]
    total = attacked[f"queries_{side}"] + attacked[f"backwards_{side}"]
    return f"{total.mean():.1f}" if len(total) else "–"


def _median(both: pd.DataFrame, side: str) -> str:
    attacked = both[both[f"attacked_{side}"]]
    middle = attacked[f"distance_{side}"].fillna(np.inf).median()
    return f"{middle:.4g}" if np.isfinite(middle) else "–"
