"""Robust error as natural plus boundary error (Zhang et al., 2019, equation 1, https://arxiv.org/abs/1901.08573)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.values.cell import Verdicts
from robeval.values.measurement import Columns, Finding
from robeval.values.plan import ModelPlan


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    for name in ("natural", "boundary", "robust"):
        yield numbers.share(f"{name}_error", columns[name])


@measure("errors", about="verdicts", summary=_findings, paper="arXiv:1901.08573")
def errors(verdicts: Mapping[str, Verdicts], x: NDArray[Any], plan: ModelPlan) -> Columns:
    """Natural, boundary and robust error of a model under all attacks of a suite together.

    The boundary error is the share of images that are right and next to one that is not; the attacks bound it, and the
    robust error with it, from below. robust = natural + boundary, image by image.
    """
    parts = list(verdicts.values())
    natural = parts[0].clean_predicted != parts[0].label
    robust = np.logical_or.reduce([each.broken for each in parts])
    return {"natural": natural, "boundary": robust & ~natural, "robust": robust}
