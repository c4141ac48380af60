"""Which pixels a linear classifier of two classes uses, and how well it does with few (Tsipras et al., Figure 5)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.registry import Samples
from robeval.measures import numbers
from robeval.measures.linear import Class, differ, fit, margins, two
from robeval.measures.registry import measure
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Count, NotNegative, Positive

IN_USE = 0.05  # of the largest weight


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    correlation, pixels = columns["correlation"], len(columns["correlation"])
    yield Finding("correlation_max", float(correlation.max()))
    yield Finding("robust_features", float((correlation >= params["eps"]).mean()))
    for training in ("standard", "adversarial"):
        weight = np.abs(columns[f"{training}_weight"])
        on_robust = weight[correlation >= params["eps"]].sum() / weight.sum()
        yield Finding("weight_on_robust_features", float(on_robust), at=training)
        yield Finding("features_in_use", float((weight >= IN_USE * weight.max()).mean()), at=training)
    for kept in _kept(pixels):
        at = "all features" if kept == pixels else f"{kept} features"
        right, robust, n = (int(columns[name][kept - 1]) for name in ("right", "robust", "images"))
        yield numbers.counted("natural_accuracy", right, n, at)
        yield numbers.counted("robust_accuracy", robust, n, at)


@measure("features", about="data", summary=_findings, at_once=True, check=differ, paper="arXiv:1805.12152")
def features(
    samples: Samples,
    reference: Samples,
    *,
    negative: Class = 5,
    positive: Class = 7,
    eps: NotNegative = 0.2,
    epochs: Count = 100,
    learning_rate: Positive = 0.01,
    batch_size: Count = 128,
) -> Callable[[range], Columns]:
    """Correlation of pixels with the class, the weights that linear classifiers give them, and accuracy with the best.

    The classifiers are those of `linear`. A pixel i is correlated by |E y x_i| over the training images, and robust if
    that is no less than eps, as an adversary moves it by no more. Of each training: the share of the l1 norm of the
    weights that lies on robust pixels, and the share of pixels whose weight is 5 % of the largest or more. A standard
    classifier is also trained on nothing but the 1, 2, 4, 8, ... most correlated pixels: natural accuracy, and robust
    accuracy as `linear` has it, on the given split. Columns have a row per pixel, the most correlated first.
    """
    x, y = two(reference, negative, positive)
    images, labels = two(samples, negative, positive)

    def fitted(_: range) -> Columns:
        correlation = np.abs((y[:, None] * x).mean(axis=0))
        order = np.argsort(-correlation, kind="stable")
        columns: dict[str, NDArray[Any]] = {"pixel": order, "correlation": correlation[order]}
        for training, radius in (("standard", 0.0), ("adversarial", eps)):
            columns[f"{training}_weight"] = fit(x, y, radius, epochs, learning_rate, batch_size)[0][order]
        right, robust = np.zeros((2, len(order)), np.int64)  # 0 where so many are not tried
        for kept in _kept(len(order)):
            best = order[:kept]
            w, b = fit(x[:, best], y, 0.0, epochs, learning_rate, batch_size)
            clean, moved = margins(w, b, images[:, best], labels, eps).T[:2]
            right[kept - 1], robust[kept - 1] = (clean > 0).sum(), (moved > 0).sum()
        return {**columns, "right": right, "robust": robust, "images": np.full(len(order), len(labels))}

    return fitted


def _kept(pixels: int) -> list[int]:
    """1, 2, 4, 8, ..., and all."""
    return [*(2**power for power in range((pixels - 1).bit_length())), pixels]
