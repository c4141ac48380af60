"""The scanned digits that come with scikit-learn: the data set that needs no download."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.registry import dataset


@dataset("digits", sizes={"train": 1195, "test": 602}, num_classes=10)
def digits(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """1,797 handwritten digits, 8x8, 17 grey levels (UCI Optical Recognition of Handwritten Digits).

    The split is fixed and stratified: of each class, in file order, every third image (the first, fourth,
    seventh, ...) is a test image. That makes 602 test and 1,195 training images.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    y = bunch.target.astype(np.int64)
    place = np.zeros_like(y)  # of an image among those of its class
    for label in range(10):
        place[y == label] = np.arange((y == label).sum())
    chosen = (place % 3 == 0) == (split == "test")
    x = (bunch.images[chosen] / 16).astype(np.float32)
    return x[:, None], y[chosen]
