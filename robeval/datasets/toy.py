"""Linearly separable images whose distance to the boundary is a formula: for tests, without any file.

Class j has a pattern h_j of +1 and -1 on 4x4 pixels, a row of a Hadamard matrix, so the patterns are orthogonal
and each sums to 0. An image of class y is 0.5 + m h_y + noise, with noise orthogonal to all patterns. The linear
model with logits <h_j, x> then separates the classes: its margin is <h_y - h_j, x> = 16 m for every other j, so
no l-inf perturbation smaller than m breaks it (||h_y - h_j||_1 = 16), and no l2 perturbation smaller than
sqrt(8) m (||h_y - h_j||_2 = sqrt(32)). All numbers are multiples of 1/1024, so float32 holds them exactly.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.registry import dataset

PIXELS = 16
UNIT = 1024
SIZES = {"train": 400, "test": 200}
# In units: no pixel leaves [0, 1], as 300 + 14 x 15 < 512.
SMALLEST_MARGIN, LARGEST_MARGIN, LARGEST_NOISE = 50, 300, 15


@dataset("toy", sizes=SIZES, num_classes=2)
def toy(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two linearly separable classes of 4x4 images with known margins; made, not read."""
    return _blobs(split, 2)


@dataset("toy_four", sizes=SIZES, num_classes=4)
def toy_four(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Four linearly separable classes of 4x4 images with known margins; made, not read."""
    return _blobs(split, 4)


def patterns(num_classes: int) -> NDArray[np.int64]:
    """The pattern of each class: the weights of the linear model (without bias) that separates them, (k, 16)."""
    return _hadamard()[1 : num_classes + 1].astype(np.int64)


def _hadamard() -> NDArray[np.int64]:
    """A 16x16 matrix of +1 and -1 whose rows are orthogonal; the first is all +1."""
    from scipy.linalg import hadamard

    return hadamard(PIXELS)


def margins(x: NDArray[np.float32], y: NDArray[np.int64], num_classes: int, norm: str) -> NDArray[np.float64]:
    """Each image's distance to the boundary of that linear model, in "linf" or "l2", (n,)."""
    m = (x.reshape(-1, PIXELS).astype(np.float64) * patterns(num_classes)[y]).sum(axis=1) / PIXELS
    return m * {"linf": 1.0, "l2": np.sqrt(8.0)}[norm]


def _blobs(split: str, num_classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    n = SIZES[split]
    draw = np.random.RandomState(["train", "test"].index(split))  # whose numbers are the same in every numpy
    y = np.arange(n, dtype=np.int64) % num_classes
    margin = draw.randint(SMALLEST_MARGIN, LARGEST_MARGIN + 1, size=(n, 1))
    others = _hadamard()[num_classes + 1 :]  # orthogonal to every pattern
    noise = draw.randint(-LARGEST_NOISE, LARGEST_NOISE + 1, size=(n, len(others))) @ others
    units = UNIT // 2 + margin * patterns(num_classes)[y] + noise
    return (units / UNIT).astype(np.float32).reshape(n, 1, 4, 4), y
