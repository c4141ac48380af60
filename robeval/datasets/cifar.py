"""The pickled batches that CIFAR-10 and CIFAR-100 come in, read without executing anything in them."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import Published, content, damaged, refuse_labels


class Unpickler(pickle.Unpickler):
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


def read_batch(
    path: Path, expected: Published, labels: str, num_classes: int, source: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images, uint8 (n, 3, 32, 32), and labels, int64 (n,), of a pickled dictionary.

    Args:
        labels: the key of the labels; that of the images, (n, 3072), is `data`. Python 2 wrote both as bytes.

    Raises:
        UserError: the file is not the published one or holds something else.
    """
    found = content(path, expected, source)
    try:
        batch = Unpickler(io.BytesIO(found), encoding="bytes").load()
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, f"this is no batch of CIFAR: {error or type(error).__name__}", source) from None
    x, y = (batch.get(key.encode(), batch.get(key)) if isinstance(batch, dict) else None for key in ("data", labels))
    if not (isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 2 and x.shape[1] == 3072):
        raise damaged(path, "it has no images of 3x32x32 bytes under the key 'data'", source)
    if not (isinstance(y, list) and len(y) == len(x) and all(type(label) is int for label in y)):
        raise damaged(path, f"it has not one whole number for each of {len(x)} images under the key '{labels}'", source)
    refuse_labels(y, num_classes, path, source)
    return x.reshape(-1, 3, 32, 32), np.array(y, dtype=np.int64)
