"""How far the classes of a data set are apart (Yang et al., 2020, Table 1, https://arxiv.org/abs/2003.02460)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.ops.chebyshev import Chebyshev
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Bound

BINS = 20


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    distance = np.sort(columns["distance"])
    yield numbers.least("separation", distance)
    if drop := params["drop"]:
        yield numbers.least("separation", distance[drop:], f"without the {drop} smallest")
    yield numbers.median("distance_median", distance)
    yield numbers.mean("distance_mean", distance)
    yield numbers.counted("identical", int((distance == 0).sum()), len(distance))
    counts, edges = np.histogram(distance, bins=BINS, range=(0, 1))
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        if count:
            yield Finding("images", float(count), n=len(distance), at=f"{low:.2f} to {high:.2f}")


@measure("separation", about="data", summary=_findings, paper="arXiv:2003.02460")
def separation(
    samples: Samples, reference: Samples, *, drop: Annotated[int, Bound(0)] = 0
) -> Callable[[range], Columns]:
    """The l-inf distance from each image to the nearest training image of another class, exactly.

    `separation` is the smallest. The data set is r-separated for every r up to half of it. `images` is the histogram
    over 20 bins of [0, 1]. With `drop` the minimum is also given without so many of the smallest distances: SVHN and
    Restricted ImageNet hold identical images of different classes (4 and 6 in the released code). `nearest` is the
    place of a nearest image in the training split. Distances of uint8 images are whole multiples of 1/255.
    """
    search, flat = prepared(samples, reference)
    unit = 255 if flat.dtype == np.uint8 else 1

    def rows(these: range) -> Columns:
        found = [search.nearest(flat[row], reference.y != samples.y[row]) for row in these]
        return {
            "distance": np.array([distance for distance, _ in found]) / unit,
            "nearest": np.array([place for _, place in found]),
        }

    return rows


def prepared(samples: Samples, reference: Samples) -> tuple[Chebyshev, Any]:
    """A search among the reference images, and the samples as rows, (n, d).

    Raises:
        UserError: the two are not of one shape and type, or there is only one class.
    """
    where = f"{samples.dataset} ({samples.split}) beside {reference.dataset} ({reference.split})"
    pixels, others = samples.pixels, reference.pixels
    kinds = [f"{each.dtype} {each.shape[1:]}" for each in (pixels, others)]
    if kinds[0] != kinds[1]:
        found = f"the images are {kinds[0]} and {kinds[1]}"
        raise UserError(found, where=where, fix="Give two splits of one data set.")
    if len(np.unique(reference.y)) < 2:
        raise UserError("the reference images are all of one class", where=where, fix="Give at least two classes.")
    return Chebyshev(others.reshape(len(others), -1)), pixels.reshape(len(pixels), -1)
