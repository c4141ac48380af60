"""Robust accuracy against the radius, of one run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.measures import numbers
from robeval.measures.distance import nearest_found
from robeval.measures.registry import measure
from robeval.values.cell import Verdicts
from robeval.values.measurement import AT_MOST, Columns, Finding
from robeval.values.parameters import Count
from robeval.values.plan import ModelPlan


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    least, tried = columns["distance"], columns["tried"][0]
    radii = params["radii"] or np.unique([*np.linspace(0, columns["eps"][0], params["points"] + 1), *tried])
    for radius in radii:
        # What is wrong when clean has distance 0.
        found = numbers.share("robust_accuracy", least > np.float32(radius), f"eps={radius:.6g}")
        known = columns["any_radius"][0] or np.isclose(tried, radius, rtol=1e-6, atol=0).any()
        yield found if known else replace(found, metric=f"{found.metric}{AT_MOST}", low=np.nan, high=np.nan)


@measure("curve", about="verdicts", summary=_findings, version=2)
def curve(
    verdicts: Mapping[str, Verdicts],
    x: NDArray[Any],
    plan: ModelPlan,
    *,
    radii: tuple[float, ...] = (),
    points: Count = 20,
) -> Columns:
    """Robust accuracy at every radius, from the distances of one run of a suite.

    A sample is robust at a radius if no attack has found an adversarial image within it. The radii are given, or are
    `points` equal steps up to the suite's eps and the radii of its attacks. Attacks that look for the nearest image in
    the suite's norm (`deepfool`, `fab`, ...) look at all radii; others at their own alone, where adversarial images
    have no reason to be nearer than they must. Where no attack has looked, there is only an upper bound, called
    `robust_accuracy_at_most`, without an interval.
    """
    least = nearest_found(verdicts)
    rows = [row for row in plan.rows if row.id in verdicts]
    tried = np.unique([0.0, *(spec.threat.eps for row in rows for spec in row.attacks if spec.use != "clean")])
    seeks = any(plan.seeks(row) for row in rows)
    return {
        "distance": least,
        "eps": np.full(len(least), plan.threat.eps),
        "tried": np.tile(tried, (len(least), 1)),
        "any_radius": np.full(len(least), seeks),
    }
