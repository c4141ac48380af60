"""CIFAR-10, from its Python or its binary version."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import Published, check, missing
from robeval.datasets.registry import dataset
from robeval.errors import UserError
from robeval.shelf import reading

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

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataset("cifar10", splits=("train", "test"), num_classes=10)
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
                return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
            folders.append(folder)
            absent.append(lacking)
    raise missing("cifar10", min(absent, key=len, default=list(PYTHON)), folders, SOURCE)


class _Unpickler(pickle.Unpickler):
    """Makes numpy arrays and plain values, and nothing else."""

    _KNOWN: Mapping[str, Any] = {
        "ndarray": np.ndarray,
        "dtype": np.dtype,
        "_reconstruct": np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str, /) -> Any:
        """The numpy name, under its old or its new module."""
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in self._KNOWN:
            return self._KNOWN[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_python(path: Path, expected: Published) -> Arrays:
    """A pickled dictionary with `data`, (n, 3072), and `labels`; written by Python 2, so its keys are bytes."""
    content = _content(path, expected)
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise UserError(f"this is no batch of CIFAR-10: {error}", where=path, fix=f"Get it from {SOURCE}.") from None
    return batch[b"data"].reshape(-1, 3, 32, 32), np.array(batch[b"labels"], dtype=np.int64)


def _read_binary(path: Path, expected: Published) -> Arrays:
    records = np.frombuffer(_content(path, expected), dtype=np.uint8).reshape(-1, 3073)
    y = records[:, 0].astype(np.int64)
    if y.max() > 9:
        found = f"image {int((y > 9).argmax())} has the label {y[y > 9][0]}, expected 0 to 9"
        raise UserError(found, where=path, fix=f"Get the file again from {SOURCE}.")
    return records[:, 1:].reshape(-1, 3, 32, 32), y


def _content(path: Path, expected: Published) -> bytes:
    with reading(path), path.open("rb") as file:
        content = file.read(expected.size + 1)
    check(content, expected, path, SOURCE)
    return content
