"""The arrays that the challenge of TRADES (Zhang et al., 2019) gives out: test images as floats, channels last."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.arrays import channels_first, read_npy
from robeval.datasets.files import Download, damaged, first, missing, refuse_altered, refuse_labels
from robeval.datasets.registry import dataset
from robeval.values.remote import Remote

SOURCE = "https://github.com/yaodongyu/TRADES"
FOLDERS = ("trades", "data_attack", "")
DRIVE = {
    "cifar10_X.npy": "1PXePa721gTvmQ46bZogqNGkW31Vu6u3J",
    "cifar10_Y.npy": "1znICoQ8Ds9MH-1yhNssDs3hgBpvx57PV",
    "mnist_X.npy": "12aWmoNs3EMwYe_Z5pBidx_22xj-5IqDU",
    "mnist_Y.npy": "1kCBlNfg2TRn8BlqCkNTJiPDgsxIliQgZ",
}


def _downloads(prefix: str) -> list[Download]:
    return [
        Download(Remote(name, f"https://drive.google.com/uc?id={key}"), "trades")
        for name, key in DRIVE.items()
        if name.startswith(prefix)
    ]


@dataset("trades_cifar10", sizes={"test": 10_000}, num_classes=10, downloads=_downloads("cifar10"))
def trades_cifar10(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """CIFAR-10's test images as the challenge of TRADES gives them out, `cifar10_X.npy` and `cifar10_Y.npy`.

    Each root is searched for `trades/`, `data_attack/` and itself.
    """
    return _read("cifar10", (3, 32, 32), roots)


@dataset("trades_mnist", sizes={"test": 10_000}, num_classes=10, downloads=_downloads("mnist"))
def trades_mnist(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """MNIST's test images as the challenge of TRADES gives them out, `mnist_X.npy` and `mnist_Y.npy`.

    Each root is searched for `trades/`, `data_attack/` and itself.
    """
    return _read("mnist", (1, 28, 28), roots)


def _read(
    name: str, image: tuple[int, int, int], roots: tuple[Path, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    files = f"{name}_X.npy", f"{name}_Y.npy"
    folders = [root / folder for root in roots for folder in FOLDERS]
    paths = [first(folders, [file]) for file in files]
    absent = [file for file, path in zip(files, paths) if path is None]
    if absent:
        raise missing(f"trades_{name}", absent, folders, SOURCE)
    for path in paths:
        if path is not None:
            refuse_altered(path, SOURCE)
    (x, x_path), (y, y_path) = ((read_npy(path), path) for path in paths if path is not None)
    x = channels_first(x)
    if x.shape[1:] != image or not np.issubdtype(x.dtype, np.floating):
        expected = f"floats of shape (n, {', '.join(map(str, (*image[1:], image[0])[: 3 if image[0] > 1 else 2]))})"
        raise damaged(x_path, f"it holds {x.dtype} of shape {x.shape}, expected {expected}", SOURCE)
    x = x.astype(np.float32)
    if not (len(x) and x.min() >= 0 and x.max() <= 1):
        raise damaged(x_path, "its pixels are not all from 0 to 1", SOURCE)
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise damaged(y_path, f"it holds {y.dtype} of shape {y.shape}, expected {len(x)} whole numbers", SOURCE)
    refuse_labels(y.tolist(), 10, y_path, SOURCE)
    return x, y.astype(np.int64)
