"""How far away adversarial images are (Zhang et al., 2019, Figure 3, https://arxiv.org/abs/1901.08573)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.values.cell import Verdicts
from robeval.values.measurement import Columns, Finding
from robeval.values.plan import ModelPlan

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    distance, found = columns["distance"], columns["found"]
    yield numbers.mean("distance_mean", distance)
    yield numbers.median("distance_median", distance)
    yield numbers.mean("distance_mean", distance[found], "found")
    yield numbers.median("distance_median", distance[found], "found")
    yield numbers.share("found", found)


@measure("distance", about="verdicts", summary=_findings, paper="arXiv:1901.08573")
def distance(verdicts: Mapping[str, Verdicts], x: NDArray[Any], plan: ModelPlan) -> Columns:
    """Mean and median distance to the nearest adversarial image that any attack of a suite has found.

    In the suite's norm, of the attacks that are scored in it. An image that is misclassified anyway has distance 0; one
    for which none was found that of the furthest image in the pixel box, so that the mean over all images is no less
    than the truth. `found` leaves those out. Minimal-distance attacks say most; one that stays in a ball finds nothing
    beyond it.
    """
    least = nearest_found(verdicts)
    low, high = plan.threat.box
    pixels = x.reshape(len(x), -1).astype(np.float64)
    furthest = np.linalg.norm(np.maximum(pixels - low, high - pixels), ord=ORDERS[plan.threat.norm], axis=1)
    found = np.isfinite(least)
    return {"distance": np.where(found, least, furthest), "found": found}


def nearest_found(verdicts: Mapping[str, Verdicts]) -> NDArray[np.float64]:
    """The least distance over all attacks, float64 (n,); infinite where none has broken the sample."""
    stacked = np.stack([each.distance.astype(np.float64) for each in verdicts.values()])
    return np.nan_to_num(stacked, nan=np.inf).min(axis=0)
