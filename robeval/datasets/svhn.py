"""Street View House Numbers, from its cropped digits."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import Download, Published, content, damaged, first, missing
from robeval.datasets.registry import dataset
from robeval.values.remote import Remote

SOURCE = "http://ufldl.stanford.edu/housenumbers/"
FILES = {
    "train_32x32.mat": Published(182040794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
    "test_32x32.mat": Published(64275384, "eb5a983be6a315427106f1b164d9cef3"),
}


@dataset(
    "svhn",
    sizes={"train": 73_257, "test": 26_032},
    num_classes=10,
    downloads=[
        Download(Remote(name, SOURCE + name, known.size, f"md5:{known.md5}"), "svhn") for name, known in FILES.items()
    ],
)
def svhn(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """99,289 digits cut out of photographs of houses, 32x32, in colour (Netzer et al., 2011); 26,032 are test images.

    The digit 0, which the files label 10, is class 0; the extra training images are left out. Each root is
    searched, and `svhn/` and `SVHN/` in it.
    """
    name = f"{split}_32x32.mat"
    folders = [root / folder for root in roots for folder in ("svhn", "SVHN", "")]
    path = first(folders, [name])
    if path is None:
        raise missing("svhn", [name], folders, SOURCE)
    from scipy.io import loadmat

    found = io.BytesIO(content(path, FILES[name], SOURCE))
    try:
        arrays = loadmat(found, variable_names=("X", "y"))
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, f"this is no MATLAB file of SVHN: {error or type(error).__name__}", SOURCE) from None
    x, y = arrays.get("X"), arrays.get("y")
    if x is None or x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3):
        raise damaged(path, "it has no images of 32x32x3 bytes in the variable 'X'", SOURCE)
    if y is None or not np.issubdtype(y.dtype, np.integer) or y.size != x.shape[3]:
        raise damaged(path, f"it has not one whole number for each of {x.shape[3]} images in the variable 'y'", SOURCE)
    digits = y.ravel().astype(np.int64)
    if len(digits) and not 1 <= digits.min() <= digits.max() <= 10:
        raise damaged(path, f"its labels are {digits.min()} to {digits.max()}, expected 1 to 10", SOURCE)
    return np.ascontiguousarray(x.transpose(3, 2, 0, 1)), digits % 10
