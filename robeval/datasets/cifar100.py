"""CIFAR-100, from its Python version."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.cifar import read_batch
from robeval.datasets.files import Download, Published, first, missing
from robeval.datasets.registry import dataset
from robeval.values.remote import Remote

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
FOLDER = "cifar-100-python"
# Only the md5 of the files is published, size and md5 of the archive.
FILES = {
    "train": Published(0, "16019d7e3df5f24257cddd939b257f8d"),
    "test": Published(0, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
}
ARCHIVE = Remote(
    "cifar-100-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    169001437,
    "md5:eb9058c3a382ffc7106e4002c42a8d85",
)


@dataset(
    "cifar100",
    sizes={"train": 50_000, "test": 10_000},
    num_classes=100,
    downloads=[Download(ARCHIVE, "", tuple(f"{FOLDER}/{name}" for name in FILES))],
)
def cifar100(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """60,000 colour photographs, 32x32, of a hundred kinds of thing (Krizhevsky, 2009); 10,000 are the test images.

    The labels are the fine ones. Each root is searched for `cifar-100-python/`.
    """
    folders = [root / FOLDER for root in roots]
    path = first(folders, [split])
    if path is None:
        raise missing("cifar100", [split], folders, SOURCE)
    return read_batch(path, FILES[split], "fine_labels", 100, SOURCE)
