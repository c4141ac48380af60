"""CIFAR-10, from its Python or its binary version."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.cifar import read_batch
from robeval.datasets.files import Download, Published, content, missing, refuse_labels
from robeval.datasets.registry import dataset
from robeval.values.remote import Remote

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
PYTHON = {
    "data_batch_1": Published(31035704, "c99cafc152244af753f735de768cd75f"),
    "data_batch_2": Published(31035320, "d4bba439e000b95fd0a9bffe97cbabec"),
    "data_batch_3": Published(31035999, "54ebc095f3ab1f0389bbae665268c751"),
    "data_batch_4": Published(31035696, "634d18415352ddfa80567beed471001a"),
    "data_batch_5": Published(31035623, "482c414d41f54cd18b22e5b47cb7c3cb"),
    "test_batch": Published(31035526, "40351d587109b95175f43aff81a1287e"),
}
# Each image is a byte for its class and 3 x 32 x 32 for its pixels. No md5 of these files is published.
BINARY = {f"{name}.bin": Published(10000 * 3073, "") for name in PYTHON}
ARCHIVE = Remote(
    "cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    170498071,
    "md5:c58f30108f718f92721af3b95e74349a",
)

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataset(
    "cifar10",
    sizes={"train": 50_000, "test": 10_000},
    num_classes=10,
    downloads=[Download(ARCHIVE, "", tuple(f"cifar-10-batches-py/{name}" for name in PYTHON))],
)
def cifar10(split: str, roots: tuple[Path, ...]) -> Arrays:
    """60,000 colour photographs, 32x32, of ten kinds of thing (Krizhevsky, 2009); 10,000 are the test images.

    Each root is searched for the Python version, in `cifar-10-batches-py/` or as it is, and then for the binary
    one, in `cifar-10-batches-bin/`.
    """
    absent: list[list[str]] = []
    folders: list[Path] = []
    for root in roots:
        for folder, files, read in (
            (root / "cifar-10-batches-py", PYTHON, _read_python),
            (root, PYTHON, _read_python),
            (root / "cifar-10-batches-bin", BINARY, _read_binary),
        ):
            names = [name for name in files if name.startswith("test") == (split == "test")]
            lacking = [name for name in names if not (folder / name).is_file()]
            if not lacking:
                parts = [read(folder / name, files[name]) for name in names]
                if len(parts) == 1:
                    return parts[0]
                return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
            folders.append(folder)
            absent.append(lacking)
    raise missing("cifar10", min(absent, key=len, default=list(PYTHON)), folders, SOURCE)


def _read_python(path: Path, expected: Published) -> Arrays:
    return read_batch(path, expected, "labels", 10, SOURCE)


def _read_binary(path: Path, expected: Published) -> Arrays:
    records = np.frombuffer(content(path, expected, SOURCE), dtype=np.uint8).reshape(-1, 3073)
    y = records[:, 0].astype(np.int64)
    refuse_labels(y.tolist(), 10, path, SOURCE)
    return records[:, 1:].reshape(-1, 3, 32, 32), y
