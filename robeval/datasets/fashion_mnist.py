"""Fashion-MNIST, from its idx files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets import idx
from robeval.datasets.files import Download, Published
from robeval.datasets.registry import dataset
from robeval.values.remote import Remote

SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FOLDERS = ("fashion_mnist", "FashionMNIST/raw", "fashion-mnist")  # not the root: the names are those of MNIST's files
# An md5 is published of the gzip files only; uncompressed they have the sizes of MNIST's.
FILES = {
    "train-images-idx3-ubyte": Published(47040016, ""),
    "train-labels-idx1-ubyte": Published(60008, ""),
    "t10k-images-idx3-ubyte": Published(7840016, ""),
    "t10k-labels-idx1-ubyte": Published(10008, ""),
    "train-images-idx3-ubyte.gz": Published(26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    "train-labels-idx1-ubyte.gz": Published(29515, "25c81989df183df01b3e8a0aad5dffbe"),
    "t10k-images-idx3-ubyte.gz": Published(4422102, "bef4ecab320f06d8554ea6380940ec79"),
    "t10k-labels-idx1-ubyte.gz": Published(5148, "bb300cfdad3c16e7a12a480ee83cd310"),
}


@dataset(
    "fashion_mnist",
    sizes={"train": 60_000, "test": 10_000},
    num_classes=10,
    downloads=[
        Download(Remote(name, ADDRESS + name, known.size, f"md5:{known.md5}"), "fashion_mnist")
        for name, known in FILES.items()
        if known.md5
    ],
)
def fashion_mnist(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """70,000 articles of clothing, 28x28, grey (Xiao, Rasul and Vollgraf, 2017); 10,000 of them are the test images.

    The four files may be plain or gzip, in `fashion_mnist/`, `FashionMNIST/raw/` or `fashion-mnist/` of a root.
    """
    return idx.read("fashion_mnist", split, roots, FOLDERS, FILES, SOURCE)
