"""Which data sets there are, and reading one."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robeval import shelf
from robeval.datasets.files import Download
from robeval.datasets.pictures import Pictures
from robeval.errors import UserError, nearest
from robeval.values.catalog import Catalog, headline

Pixels = NDArray[np.uint8] | NDArray[np.float32] | Pictures
Labels = NDArray[np.int64]
Read = Callable[[str, tuple[Path, ...]], tuple[Pixels, Labels]]


@dataclass(frozen=True, slots=True)
class Samples:
    """The images and labels of one split, in their official order, or some of them.

    Attributes:
        x: uint8 in 0..255 or float32 in [0, 1], (n, c, h, w); image files are decoded when they are asked for.
        y: classes, int64 (n,).
        content: digest of the images and labels, and of the ids where they are not all.
        chosen: the place of each in the official order, int64 (n,); None if they are all.
    """

    dataset: str
    split: str
    x: Pixels
    y: Labels
    num_classes: int
    content: str
    chosen: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def ids(self) -> NDArray[np.int64]:
        """The place of each in the official order, int64 (n,), by which random numbers are drawn for it."""
        return np.arange(len(self)) if self.chosen is None else self.chosen

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    @property
    def pixels(self) -> NDArray[np.uint8] | NDArray[np.float32]:
        """All images at once, as `x` holds them; image files are decoded into memory each time."""
        return self.x[:] if isinstance(self.x, Pictures) else self.x

    def slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images float32 in [0, 1], (n, c, h, w), and labels int64 (n,), of samples start to stop."""
        pixels = self.x[start:stop]
        images = torch.from_numpy(pixels.astype(np.float32))
        if pixels.dtype == np.uint8:
            images /= 255  # in place: of many images a second copy is what memory lacks
        return images, torch.from_numpy(self.y[start:stop].copy())

    def take(self, rows: NDArray[np.int64], called: str) -> "Samples":
        """Only those in some places, with `called` added to the split's name; each keeps its id."""
        x = self.x.take(rows) if isinstance(self.x, Pictures) else self.x[rows]
        ids = self.ids[rows]
        content = hashlib.sha256(f"{self.content} {ids.tolist()}".encode()).hexdigest()[:32]
        return replace(self, split=f"{self.split} {called}", x=x, y=self.y[rows], content=content, chosen=ids)


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set in the catalog.

    Attributes:
        sizes: how many samples each split has, 0 where that is not published.
        read: gives pixels and labels of `(split, roots)`.
        downloads: its files on the web; empty where people have to get them themselves, or where there are none.
    """

    name: str
    sizes: Mapping[str, int]
    num_classes: int
    read: Read
    summary: str
    downloads: tuple[Download, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its parts."""
        return tuple(self.sizes)


_CATALOG: Catalog[Entry] = Catalog("robeval.datasets", "data set")


def dataset(
    name: str, *, sizes: Mapping[str, int], num_classes: int, downloads: Sequence[Download] = ()
) -> Callable[[Read], Entry]:
    """Enter a reading function `(split, roots) -> (x, y)` into the catalog under `name`."""

    def enter(read: Read) -> Entry:
        entry = Entry(name, sizes, num_classes, read, headline(read), tuple(downloads))
        _CATALOG.enter(name, entry)
        return entry

    return enter


def catalog() -> dict[str, Entry]:
    """Every data set by name."""
    return _CATALOG.all()


def data_roots(given: Path | None = None) -> tuple[Path, ...]:
    """Where data files are looked for: `--data-root`, then ROBEVAL_DATA, then the cache."""
    return tuple(_data_roots(given))


def _data_roots(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
    if home := os.environ.get("ROBEVAL_DATA"):
        yield Path(home)
    yield shelf.cache() / "data"


def find(name: str, where: str) -> Entry:
    """The data set of that name.

    Raises:
        UserError: there is none.
    """
    return _CATALOG.find(name, where)


def load(name: str, split: str, roots: tuple[Path, ...] = (), where: str = "dataset") -> Samples:
    """Read one split of a data set.

    Raises:
        UserError: the name or split is unknown, or a file is missing, cut or altered.
    """
    entry = find(name, where)
    if split not in entry.splits:
        raise UserError(f"'{name}' has no split '{split}'", where=where, fix=nearest(split, entry.splits))
    x, y = entry.read(split, roots or data_roots())
    return samples(name, split, x, y, entry.num_classes)


def samples(name: str, split: str, x: Pixels, y: Labels, num_classes: int) -> Samples:
    """All images and labels of a split; nothing is checked."""
    return Samples(name, split, x, y, num_classes, content_digest(x, y))


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
    return samples(name, split, x, y, classes)


def content_digest(x: Pixels, y: Labels) -> str:
    """A name for exactly these images and labels in this order."""
    if isinstance(x, Pictures):
        total = hashlib.sha256(x.identity().encode())
    else:
        total = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
        total.update(np.ascontiguousarray(x).data)
    total.update(np.ascontiguousarray(y).data)
    return total.hexdigest()[:32]
