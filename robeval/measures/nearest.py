"""The classifier that goes by distance (Yang et al., 2020, Theorems 4.2 and 4.4, https://arxiv.org/abs/2003.02460)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.registry import Samples
from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.measures.separation import prepared
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import NotNegative


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    lead = columns["other"] - columns["own"]
    yield numbers.share("accuracy", lead > 0)
    if eps := params["eps"]:
        yield numbers.share("certified_accuracy", lead / 2 > eps, f"eps={eps:.6g}")
        yield numbers.share("attacked_accuracy", (lead > 0) & ~columns["broken"], f"eps={eps:.6g}")


@measure("nearest", about="data", summary=_findings, paper="arXiv:2003.02460")
def nearest(samples: Samples, reference: Samples, *, eps: NotNegative = 0.0) -> Callable[[range], Columns]:
    """Accuracy of argmin_i dist(x, X_i), with X_i the training images of class i and the l-inf distance: 1-NN.

    It is robust with radius r around every training image if the classes are 2r apart; what it is on other images is
    measured here. `own` and `other` are the distances to the nearest training image of the true class and of another;
    no image within (other - own) / 2 is classified otherwise. With `eps` the share of images for which that is more
    than eps (`certified_accuracy`), and of those still right after all pixels have moved by at most eps towards the
    nearest image of another class (`attacked_accuracy`): what an adversary can do is between the two. A training image
    is measured without itself. An image as far from its own class as from another is wrong.
    """
    search, flat = prepared(samples, reference)
    others = reference.pixels.reshape(len(reference), -1)
    unit = 255 if flat.dtype == np.uint8 else 1
    itself = samples.content == reference.content

    def lead(query: NDArray[Any], row: int) -> tuple[float, float, int]:
        """Distances to the own class and to another, and the place of the latter."""
        own = reference.y == samples.y[row]
        other, place = search.nearest(query, ~own)
        if itself:
            own[row] = False
        return search.nearest(query, own)[0] / unit, other / unit, place

    def rows(these: range) -> Columns:
        found = [lead(flat[row], row) for row in these]
        own, other, places = (np.array(column) for column in zip(*found, strict=True))
        columns = {"own": own, "other": other}
        if eps:
            targets = others[places]
            moved = [
                lead(_towards(flat[row], target, eps * unit), row) for row, target in zip(these, targets, strict=True)
            ]
            columns["broken"] = np.array([after >= before for after, before, _ in moved])
        return columns

    return rows


def _towards(image: NDArray[Any], target: NDArray[Any], eps: float) -> NDArray[Any]:
    """The image, each pixel moved towards the target by at most eps, in whole steps where pixels are whole numbers."""
    if image.dtype == np.uint8:
        eps = np.floor(eps)
        wide = image.astype(np.int64)
        return (wide + (target - wide).clip(-int(eps), int(eps))).astype(np.uint8)
    wide = image.astype(np.float64)
    return wide + (target - wide).clip(-eps, eps)
