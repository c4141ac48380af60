"""Two classes of a data set as a data set of its own: for methods and measures of one score."""

from pathlib import Path

import numpy as np

from robeval.datasets.digits import digits
from robeval.datasets.mnist import mnist
from robeval.datasets.pictures import Pictures
from robeval.datasets.registry import Entry, Labels, Pixels, dataset


def pair(whole: Entry, first: int, second: int, *, train: int, test: int, summary: str) -> Entry:
    """Enter the images of two classes, as classes 0 and 1, into the catalog, as `<whole>_<first>_<second>`.

    Images stay in their order, and what is fetched is what the whole data set is fetched from.

    Args:
        train, test: how many images of these classes each split has.
    """

    def read(split: str, roots: tuple[Path, ...]) -> tuple[Pixels, Labels]:
        x, y = whole.read(split, roots)
        rows = np.flatnonzero((y == first) | (y == second))
        return x.take(rows) if isinstance(x, Pictures) else x[rows], (y[rows] == second).astype(np.int64)

    read.__doc__ = summary
    name, sizes = f"{whole.name}_{first}_{second}", {"train": train, "test": test}
    return dataset(name, sizes=sizes, num_classes=2, downloads=whole.downloads)(read)


pair(mnist, 1, 3, train=12_873, test=2_145, summary="The ones (class 0) and threes (class 1) of MNIST.")
pair(mnist, 5, 7, train=11_686, test=1_920, summary="The fives (class 0) and sevens (class 1) of MNIST.")
pair(digits, 1, 3, train=243, test=122, summary="The ones (class 0) and threes (class 1) of `digits`.")
pair(digits, 5, 7, train=240, test=121, summary="The fives (class 0) and sevens (class 1) of `digits`.")
