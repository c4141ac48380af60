"""Robust accuracy against the radius, of whatever a ledger has at several radii."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robeval.reports.page.verdicts import Finished
from robeval.values.interval import wilson
from robeval.values.measurement import AT_MOST, Measured

POINTS = 40


@dataclass(frozen=True, slots=True)
class Point:
    """An accuracy and its 95 % interval, as fractions, at one radius."""

    radius: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of the chart.

    Attributes:
        label: what it was made of.
        is_line: whether what lies between the points was measured too; else they are dots.
    """

    label: str
    points: tuple[Point, ...]
    is_line: bool


def curves(runs: Sequence[Finished], answers: Iterable[Measured], norm: str) -> tuple[Curve, ...]:
    """Of one model's runs on one split, and of its answers to `measure curve`.

    Runs on the same samples are taken together: a sample is robust at a radius if no attack that stays in a ball of at
    most that radius has broken it, or, of attacks that look for the nearest image, if none found one within it.
    """
    found: list[Curve] = []
    for same in _by_samples(runs):
        found += [each for each in (_of_balls(same, norm), _of_distances(same, norm)) if each]
    suites = {run.plan.suite for run in runs if run.plan.threat.norm == norm}
    return (*found, *filter(None, (_of_answer(answer) for answer in answers if answer.question.suite in suites)))


def _by_samples(runs: Sequence[Finished]) -> list[list[Finished]]:
    groups: dict[tuple[str, bytes], list[Finished]] = {}
    for run in runs:
        for verdicts in list(run.verdicts.values())[:1]:
            groups.setdefault((run.plan.source, verdicts.sample.tobytes()), []).append(run)
    return list(groups.values())


def _of_balls(runs: list[Finished], norm: str) -> Curve | None:
    """Dots at every radius of which there are attacks; none if that is only one radius."""
    tried = [
        (row.attacks[-1].threat.eps, run.verdicts[row.id].broken)
        for run in runs
        for row in run.plan.rows
        if row.id in run.verdicts and row.attacks[-1].threat.norm == norm
        if row.attacks[-1].use != "clean" and not row.attacks[-1].minimises
    ]
    radii = sorted({eps for eps, _ in tried})
    if len(radii) < 2:
        return None
    broken = [np.logical_or.reduce([each for eps, each in tried if eps <= radius]) for radius in radii]
    points = [_point(radius, ~each) for radius, each in zip([0.0, *radii], [_wrong(runs), *broken], strict=True)]
    return Curve(_label("attacks inside balls", runs), tuple(points), False)


def _of_distances(runs: list[Finished], norm: str) -> Curve | None:
    """A line, of the nearest images that minimal-distance attacks found."""
    least = [
        (row.id, run.verdicts[row.id].distance)
        for run in runs
        for row in run.plan.rows
        if row.id in run.verdicts and len(row.attacks) == 1
        if row.attacks[0].minimises == norm == row.attacks[0].threat.norm
    ]
    if not least:
        return None
    nearest = np.nan_to_num(np.stack([each for _, each in least]).astype(float), nan=np.inf).min(axis=0)
    finite = nearest[np.isfinite(nearest)]
    furthest = 2 * max(run.plan.threat.eps for run in runs)
    end = min(float(finite.max(initial=0.0)) or furthest, furthest)
    points = [_point(radius, nearest > radius) for radius in np.linspace(0, end, POINTS + 1)]
    names = ", ".join(dict.fromkeys(name for name, _ in least))
    return Curve(_label(f"nearest images found by {names}", runs), tuple(points), True)


def _of_answer(answer: Measured) -> Curve | None:
    """A line, or dots if some radii have an upper bound only; none if too few have more."""
    points = [
        Point(float(match[1]), each.value, each.low, each.high)
        for each in answer.findings
        if each.metric == "robust_accuracy" and (match := re.fullmatch(r"eps=(\S+)", each.at))
    ]
    n = max((each.n for each in answer.findings), default=0)
    whole = not any(each.metric.endswith(AT_MOST) for each in answer.findings)
    if not whole and len(points) < 3:  # clean, and the suite's eps
        return None
    return Curve(f"distances of all attacks of {answer.question.suite}, n = {n}", tuple(points), whole)


def _label(what: str, runs: list[Finished]) -> str:
    source = runs[0].plan.source
    return f"{what}, n = {runs[0].plan.n}" + (f", from {source}" if source else "")


def _wrong(runs: list[Finished]) -> NDArray[np.bool_]:
    (first, *_) = runs[0].verdicts.values()
    return first.clean_predicted != first.label


def _point(radius: float, robust: NDArray[np.bool_]) -> Point:
    low, high = wilson(int(robust.sum()), len(robust))
    return Point(float(radius), float(robust.mean()), low, high)
