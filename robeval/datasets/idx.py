"""Images and labels in idx files, as MNIST came in and others that took its place do."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import Published, check, content, damaged, first, missing, refuse_labels, unzipped

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read(
    dataset: str,
    split: str,
    roots: tuple[Path, ...],
    places: tuple[str, ...],
    files: Mapping[str, Published],
    source: str,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images, uint8 (n, 1, h, w), and labels, int64 (n,), of one split.

    Args:
        places: folders below each root.
        files: what is published of them, uncompressed by their names, compressed by their names and `.gz`. A
            compressed file is only held against its own md5 where none of the uncompressed one is published: people
            compress files again.
    """
    folders = [root / folder for root in roots for folder in places]
    found = {name: first(folders, _spellings(name)) for name in NAMES[split]}
    absent = [f"{name}.gz" for name, path in found.items() if path is None]
    if absent:
        raise missing(dataset, absent, folders, source)
    x, y = (_array(path, name, files, source) for name, path in found.items() if path is not None)
    if len(x) != len(y):
        path = found[NAMES[split][1]] or folders[0]
        raise damaged(path, f"it has {len(y)} labels for {len(x)} images", source)
    return x[:, None], y.astype(np.int64)


def _spellings(name: str) -> tuple[str, ...]:
    """The ways in which the file is called: with a dash or a dot, compressed or plain."""
    dotted = name.replace("-idx", ".idx")
    return (f"{name}.gz", name, f"{dotted}.gz", dotted)


def _array(path: Path, name: str, files: Mapping[str, Published], source: str) -> NDArray[np.uint8]:
    """The array in an idx file: a magic number, whose last byte is the number of axes, their lengths, the bytes."""
    expected = files[name]
    if path.suffix == ".gz" and not expected.md5:
        content(path, files[f"{name}.gz"], source)
    plain = unzipped(path, expected.size, source)
    axes = 3 if "idx3" in name else 1
    magic = bytes((0, 0, 8, axes))  # 8 stands for unsigned bytes
    if plain[:4] != magic:
        found = f"it begins with {plain[:4].hex(' ')}, expected {magic.hex(' ')} (idx, bytes, {axes} axes)"
        raise damaged(path, found, source)
    check(plain, expected, path, source)
    shape = np.frombuffer(plain, dtype=">u4", count=axes, offset=4).tolist()
    numbers = np.frombuffer(plain, dtype=np.uint8, offset=4 + 4 * axes)
    if np.prod(shape, dtype=object) != len(numbers):
        raise damaged(path, f"it declares {'x'.join(map(str, shape))} bytes, but holds {len(numbers)}", source)
    if axes == 1:
        refuse_labels(numbers.tolist(), 10, path, source)
    return numbers.reshape(shape)
