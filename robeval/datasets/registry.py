"""Which data sets there are, and reading one."""

import hashlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import robeval.datasets
from robeval import shelf
from robeval.errors import UserError, nearest

Pixels = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Samples:
    """The images and labels of one split, in their official order.

    Attributes:
        x: uint8 in 0..255 or float32 in [0, 1], (n, c, h, w).
        y: classes, int64 (n,).
        content: digest of both arrays.
    """

    dataset: str
    split: str
    x: Pixels
    y: NDArray[np.int64]
    num_classes: int
    content: str

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    def slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images float32 in [0, 1], (n, c, h, w), and labels int64 (n,), of samples start to stop."""
        images = torch.from_numpy(self.x[start:stop].copy())
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return images, torch.from_numpy(self.y[start:stop].copy())


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set in the catalog; `read(split, roots)` gives its pixels and labels."""

    name: str
    splits: tuple[str, ...]
    num_classes: int
    read: Callable[[str, tuple[Path, ...]], tuple[Pixels, NDArray[np.int64]]]
    summary: str


_CATALOG: dict[str, Entry] = {}


def dataset(
    name: str, *, splits: tuple[str, ...], num_classes: int
) -> Callable[[Callable[[str, tuple[Path, ...]], tuple[Pixels, NDArray[np.int64]]]], Entry]:
    """Enter a reading function `(split, roots) -> (x, y)` into the catalog under `name`."""

    def enter(read: Callable[[str, tuple[Path, ...]], tuple[Pixels, NDArray[np.int64]]]) -> Entry:
        if name in _CATALOG:
            raise ValueError(f"two data sets are called {name!r}")
        summary = (read.__doc__ or "").strip().splitlines()[0]
        entry = Entry(name, splits, num_classes, read, summary)
        _CATALOG[name] = entry
        return entry

    return enter


def catalog() -> dict[str, Entry]:
    """Every data set by name."""
    for module in pkgutil.iter_modules(robeval.datasets.__path__):
        importlib.import_module(f"robeval.datasets.{module.name}")
    return dict(sorted(_CATALOG.items()))


def data_roots(given: Path | None = None) -> tuple[Path, ...]:
    """Where data files are looked for: `--data-root`, then ROBEVAL_DATA, then the cache."""
    return tuple(_data_roots(given))


def _data_roots(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
    if home := os.environ.get("ROBEVAL_DATA"):
        yield Path(home)
    yield shelf.cache() / "data"


def load(name: str, split: str, roots: tuple[Path, ...] = (), where: str = "dataset") -> Samples:
    """Read one split of a data set.

    Raises:
        UserError: the name or split is unknown, or a file is missing, cut or altered.
    """
    known = catalog()
    if name not in known:
        raise UserError(f"unknown data set '{name}'", where=where, fix=nearest(name, known))
    entry = known[name]
    if split not in entry.splits:
        raise UserError(f"'{name}' has no split '{split}'", where=where, fix=nearest(split, entry.splits))
    x, y = entry.read(split, roots or data_roots())
    return Samples(name, split, x, y, entry.num_classes, content_digest(x, y))


def given(name: str, split: str, x: NDArray[Any], y: NDArray[Any]) -> Samples:
    """The user's own images and labels in place of a data set's.

    Args:
        name: the data set they are like; the number of classes is taken from it if it is known.
        x: images, float32 in [0, 1] or uint8, (n, c, h, w).
        y: classes, (n,).

    Raises:
        UserError: they are not of this form.
    """
    where, fix = "data", "Give data = (x, y): images in [0, 1] (n, c, h, w), and classes (n,)."
    if x.ndim != 4 or y.ndim != 1 or len(x) != len(y) or not len(x):
        raise UserError(f"shapes are {x.shape} and {y.shape}, expected (n, c, h, w) and (n,)", where=where, fix=fix)
    if not np.issubdtype(y.dtype, np.integer):
        raise UserError(f"classes are {y.dtype}, expected whole numbers", where=where, fix=fix)
    if x.dtype not in (np.uint8, np.float32):
        found = f"pixels are {x.dtype}, expected float32, or uint8 for 0 to 255"
        raise UserError(found, where=where, fix="Convert them, for instance with `x.astype('float32')`.")
    if x.dtype == np.float32 and not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise UserError(f"pixels are from {x.min():g} to {x.max():g}, expected 0 to 1", where=where, fix=fix)
    known = catalog().get(name)
    classes = known.num_classes if known else int(y.max()) + 1
    if y.min() < 0 or y.max() >= classes:
        raise UserError(f"classes are {y.min()} to {y.max()}, expected 0 to {classes - 1}", where=where, fix=fix)
    y = y.astype(np.int64)
    return Samples(name, split, x, y, classes, content_digest(x, y))


def content_digest(x: Pixels, y: NDArray[np.int64]) -> str:
    """A name for exactly these images and labels in this order."""
    total = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
    total.update(np.ascontiguousarray(x).data)
    total.update(np.ascontiguousarray(y).data)
    return total.hexdigest()[:32]
