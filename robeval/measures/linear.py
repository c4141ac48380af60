"""A linear classifier of two classes, trained as usual and against an exact adversary (Tsipras et al., Table 5)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.measures import numbers
from robeval.measures.registry import measure
from robeval.values.measurement import Columns, Finding
from robeval.values.parameters import Bound, Count, NotNegative, Positive

Vector = NDArray[np.float64]
Class = Annotated[int, Bound(0)]


def _findings(columns: Columns, params: Mapping[str, Any]) -> Iterator[Finding]:
    eps = f"eps={params['eps']:.6g}"
    for training in ("standard", "adversarial"):
        for split in ("train", "test"):
            clean, robust, boxed = columns[f"{training}_{split}"].T
            rows = np.isfinite(clean)  # the shorter of the two splits is filled up
            at = f"{training}, {split}"
            yield numbers.share("natural_accuracy", clean[rows] > 0, at)
            yield numbers.share("robust_accuracy", robust[rows] > 0, f"{at}, {eps}")
            yield numbers.share("robust_accuracy_in_box", boxed[rows] > 0, f"{at}, {eps}")
        yield Finding("weight_l1_norm", float(columns[f"{training}_l1"][0]), at=training)


def differ(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """That the two classes are two."""
    if params["negative"] == params["positive"]:
        yield f"both classes are {params['negative']}", "Give two classes."


@measure("linear", about="data", summary=_findings, at_once=True, check=differ, paper="arXiv:1805.12152")
def linear(
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
    """Logistic regression of two classes, natural and robust accuracy, and the l1 norm of its weights.

    `standard` descends log(1 + exp(-y (w.x + b))), `adversarial` log(1 + exp(-(y (w.x + b) - eps ||w||_1))), where
    the adversary's best l-inf move is exact. Trained on the training split from weights 0 by stochastic gradient
    descent, in float64, with one order of the images per epoch that depends on nothing but its number.
    `robust_accuracy` counts y (w.x + b) > eps ||w||_1, as the paper's theory does; `robust_accuracy_in_box` an
    adversary who must keep pixels in [0, 1]. The paper's radius is 0.2 and its printed line is ambiguous.
    """
    splits = {"train": two(reference, negative, positive), "test": two(samples, negative, positive)}
    rows = max(len(y) for _, y in splits.values())

    def fitted(_: range) -> Columns:
        columns: dict[str, NDArray[np.float64]] = {}
        for training, radius in (("standard", 0.0), ("adversarial", eps)):
            w, b = fit(*splits["train"], radius, epochs, learning_rate, batch_size)
            for split, (x, y) in splits.items():
                filled = np.full((rows, 3), np.nan)
                filled[: len(y)] = margins(w, b, x, y, eps)
                columns[f"{training}_{split}"] = filled
            columns[f"{training}_l1"] = np.full(rows, np.abs(w).sum())
        return columns

    return fitted


def two(samples: Samples, negative: int, positive: int) -> tuple[Vector, Vector]:
    """Images of the two classes, float64 (n, d) in [0, 1], and -1 or 1 for each.

    Raises:
        UserError: a class has no image.
    """
    where = f"{samples.dataset} ({samples.split})"
    for each in (negative, positive):
        if not (samples.y == each).any():
            raise UserError(f"it has no image of class {each}", where=where, fix="Give 'negative' and 'positive'.")
    rows = np.flatnonzero((samples.y == negative) | (samples.y == positive))
    pixels = samples.pixels[rows]
    x = pixels.reshape(len(rows), -1).astype(np.float64)
    if pixels.dtype == np.uint8:
        x /= 255
    return x, np.where(samples.y[rows] == positive, 1.0, -1.0)


def fit(x: Vector, y: Vector, eps: float, epochs: int, rate: float, batch: int) -> tuple[Vector, float]:
    """Weights and offset after so many epochs against an l-inf adversary of radius `eps`, 0 for none."""
    w, b = np.zeros(x.shape[1]), 0.0
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(y))
        for start in range(0, len(y), batch):
            rows = order[start : start + batch]
            images, labels = x[rows], y[rows]
            pull = expit(eps * np.abs(w).sum() - labels * (images @ w + b))  # minus the loss's slope in the margin
            w = w + rate * ((pull * labels) @ images - eps * np.sign(w) * pull.sum()) / len(rows)
            b = b + rate * float((pull * labels).mean())
    return w, b


def margins(w: Vector, b: float, x: Vector, y: Vector, eps: float) -> Vector:
    """y (w.x + b) of each image: clean, after the worst move of all pixels by eps, and of one within [0, 1]; (n, 3)."""
    clean = y * (x @ w + b)
    down = y[:, None] * w > 0  # which pixels the adversary darkens
    room = np.where(down, x, 1 - x)
    boxed = clean - np.minimum(room, eps) @ np.abs(w)
    return np.stack([clean, clean - eps * np.abs(w).sum(), boxed], axis=1)
