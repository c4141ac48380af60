"""Findings of a measure as the points of a curve."""

from collections.abc import Sequence

import numpy as np

from robeval.pictures.content import Line
from robeval.values.measurement import Finding


def line(label: str, findings: Sequence[Finding], metric: str, colour: int, *, dashed: bool = False) -> Line:
    """Shares as percent over the number in their `at`, as `eps=0.1` has it, each number once and in order."""
    points = {_place(each): each for each in findings if each.metric == metric}
    x = sorted(points)
    columns = np.array([[points[at].value, points[at].low, points[at].high] for at in x]).reshape(-1, 3)
    y, low, high = 100 * columns.T
    return Line(label, np.array(x), y, low, high, colour, dashed)


def _place(finding: Finding) -> float:
    return float(finding.at.partition("=")[2])
