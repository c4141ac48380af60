"""Robust accuracy against the radius, of one run."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.measures import numbers
from robeval.measures.distance import nearest_found
from robeval.measures.registry import measure
from robeval.values.cell import Verdicts
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Count
from robeval.values.threat import ThreatModel


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    least = columns["distance"]
    radii = params["radii"] or np.linspace(0, columns["eps"][0], params["points"] + 1)
    for radius in radii:
        # What is wrong when clean has distance 0.
        yield numbers.share("robust_accuracy", least > np.float32(radius), f"eps={radius:.6g}")


@measure("curve", about="verdicts", summary=_findings)
def curve(
    verdicts: Mapping[str, Verdicts],
    x: NDArray[Any],
    threat: ThreatModel,
    *,
    radii: tuple[float, ...] = (),
    points: Count = 20,
) -> Columns:
    """Robust accuracy at every radius, from the distances of one run of a suite.

    A sample is robust at a radius if no attack has found an adversarial image within it. The radii are given, or are
    `points` equal steps up to the suite's eps. For attacks that stay in the suite's ball, the accuracy at smaller radii
    is an upper bound that an attack in the smaller ball may lower; beyond the ball only minimal-distance attacks look.
    """
    least = nearest_found(verdicts)
    return {"distance": least, "eps": np.full(len(least), threat.eps)}
