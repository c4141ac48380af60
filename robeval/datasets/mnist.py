"""MNIST, from its idx files."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import Published, check, first, missing
from robeval.datasets.registry import dataset
from robeval.errors import UserError
from robeval.shelf import reading

SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FOLDERS = ("mnist", "MNIST/raw", "")
# Size and md5 of the files as they are when uncompressed.
FILES = {
    "train-images-idx3-ubyte": Published(47040016, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": Published(60008, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": Published(7840016, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": Published(10008, "27ae3e4e09519cfbb04c329615203637"),
}


@dataset("mnist", splits=("train", "test"), num_classes=10)
def mnist(split: str, roots: tuple[Path, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """70,000 handwritten digits, 28x28, grey (LeCun, Cortes and Burges); 10,000 of them are the test images.

    The four files may be plain or gzip; each root is searched, and `mnist/` and `MNIST/raw/` in it.
    """
    part = "t10k" if split == "test" else "train"
    names = (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
    folders = [root / folder for root in roots for folder in FOLDERS]
    found = {name: first(folders, _spellings(name)) for name in names}
    absent = [f"{name}.gz" for name, path in found.items() if path is None]
    if absent:
        raise missing("mnist", absent, folders, SOURCE)
    x, y = (_read_idx(path, FILES[name]) for name, path in found.items() if path is not None)
    return x[:, None], y.astype(np.int64)


def _spellings(name: str) -> tuple[str, ...]:
    """The ways in which the file is called: with a dash or a dot, compressed or plain."""
    dotted = name.replace("-idx", ".idx")
    return (f"{name}.gz", name, f"{dotted}.gz", dotted)


def _read_idx(path: Path, expected: Published) -> NDArray[np.uint8]:
    """The array in an idx file: a magic number, whose last byte is the number of axes, their lengths, the bytes."""
    content = _content(path, expected.size)
    axes = 3 if "idx3" in path.name else 1
    magic = bytes((0, 0, 8, axes))  # 8 stands for unsigned bytes
    if content[:4] != magic:
        found = f"it begins with {content[:4].hex(' ')}, expected {magic.hex(' ')} (idx, bytes, {axes} axes)"
        raise UserError(found, where=path, fix=f"Get the file again from {SOURCE}.")
    check(content, expected, path, SOURCE)
    shape = np.frombuffer(content, dtype=">u4", count=axes, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _content(path: Path, size: int) -> bytes:
    """The file, uncompressed; of one that is too large only the first bytes."""
    with reading(path), path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return file.read(size + 1)
        file.seek(0)
        try:
            with gzip.open(file) as plain:
                return plain.read(size + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(
                f"the gzip file ({path.stat().st_size} bytes) is cut or damaged: {error}",
                where=path,
                fix=f"Get the file again from {SOURCE}.",
            ) from None
