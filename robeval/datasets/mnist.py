"""MNIST, from its idx files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets import idx
from robeval.datasets.files import Download, Published
from robeval.datasets.registry import dataset
from robeval.values.remote import Remote

SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FOLDERS = ("mnist", "MNIST/raw", "")
# Size and md5 of the files as they are when uncompressed.
FILES = {
    "train-images-idx3-ubyte": Published(47040016, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": Published(60008, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": Published(7840016, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": Published(10008, "27ae3e4e09519cfbb04c329615203637"),
}
# And as they are on the web.
PACKED = {
    "train-images-idx3-ubyte.gz": Published(9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    "train-labels-idx1-ubyte.gz": Published(28881, "d53e105ee54ea40749a09fcbcd1e9432"),
    "t10k-images-idx3-ubyte.gz": Published(1648877, "9fb629c4189551a2d022fa330f9573f3"),
    "t10k-labels-idx1-ubyte.gz": Published(4542, "ec29112dd5afa0611ce80d1b7f02629c"),
}


@dataset(
    "mnist",
    sizes={"train": 60_000, "test": 10_000},
    num_classes=10,
    downloads=[
        Download(Remote(name, SOURCE + name, known.size, f"md5:{known.md5}"), "mnist") for name, known in PACKED.items()
    ],
)
def mnist(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """70,000 handwritten digits, 28x28, grey (LeCun, Cortes and Burges); 10,000 of them are the test images.

    The four files may be plain or gzip; each root is searched, and `mnist/` and `MNIST/raw/` in it.
    """
    return idx.read("mnist", split, roots, FOLDERS, FILES, SOURCE)
