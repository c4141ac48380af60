"""The images that a training learns from: on the device where they fit, else made ready by threads."""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robeval.datasets.pictures import Pictures
from robeval.datasets.registry import Samples

ROOM = 2 << 30  # bytes of float32 images that are kept on the device: MNIST and CIFAR are, ImageNet is not
# Bytes of decoded images that are kept in memory (of whole pictures, which are mostly 4:3, up to twice as many): those
# of Restricted ImageNet at 64x64 are, those of ImageNet are not.
KEPT = 4 << 30
AHEAD = 2  # batches that are made ready while one is learnt from
TOGETHER = 16  # images that a thread makes ready before it looks whether it is still needed
THREADS = min(16, os.cpu_count() or 1)

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8] | Floats
Cut = Callable[[int, Pixels], Pixels]  # the index of an image and its whole picture, to the part that is learnt from
Started = tuple[Tensor, Floats, list[Future[None]]]


class Batch(NamedTuple):
    """Indices of images, int64 (n,), the images, float32 (n, c, h, w), and classes, int64 (n,), on the device."""

    rows: Tensor
    x: Tensor
    y: Tensor


class Images:
    """Training images and classes, by their indices."""

    def __init__(self, samples: Samples, device: torch.device) -> None:
        self._samples, self._device = samples, device
        size = 4 * len(samples) * math.prod(samples.shape)
        self._near = tuple(each.to(device) for each in samples.slice(0, len(samples))) if size <= ROOM else None
        self._keeps = isinstance(samples.x, Pictures) and size // 4 <= KEPT
        self._kept: dict[tuple[int, bool], Pixels] = {}  # by index, and whether it is the whole picture

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Those at the indices `rows`, int64 (n,): float32 (n, c, h, w) and int64 (n,), on the device."""
        with closing(self.ahead([rows])) as coming:
            _, x, y = next(coming)
        return x, y

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of each."""
        return self._samples.shape

    def ahead(self, batches: Iterable[Tensor], cut: Cut | None = None) -> Generator[Batch, None, None]:
        """The images at the indices of each batch, in turn, which threads make ready while others are learnt from.

        Nothing of this is left when the generator is at its end or is closed. With `cut`, which only files of pictures
        can have, an image is what that makes of its picture.

        Raises:
            UserError: a file cannot be decoded; when it is the turn of its batch.
        """
        if self._near is not None and cut is None:
            x, y = self._near
            yield from (Batch(rows, x[rows], y[rows]) for rows in batches)
            return
        pool, coming = ThreadPoolExecutor(THREADS, "images"), deque[Started]()
        try:
            for rows in batches:
                coming.append(self._start(pool, rows, cut))
                if len(coming) > AHEAD:
                    yield self._finish(*coming.popleft())
            while coming:
                yield self._finish(*coming.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, rows: Tensor, cut: Cut | None) -> Started:
        """A batch that threads are about to fill."""
        x = np.empty((len(rows), *self.shape), dtype=np.float32)
        parts = [slice(start, start + TOGETHER) for start in range(0, len(rows), TOGETHER)]
        return rows, x, [pool.submit(self._fill, x[part], rows[part].tolist(), cut) for part in parts]

    def _finish(self, rows: Tensor, x: Floats, parts: list[Future[None]]) -> Batch:
        for part in parts:
            part.result()
        y = torch.from_numpy(self._samples.y[rows.numpy()])
        return Batch(rows, torch.from_numpy(x).to(self._device), y.to(self._device))

    def _fill(self, x: Floats, rows: list[int], cut: Cut | None) -> None:
        """As `Samples.slice` would have it, to the bit; with numpy, as torch would start threads of its own."""
        for image, row in zip(x, rows, strict=True):
            pixels = cut(row, self._pixels(row, whole=True)) if cut else self._pixels(row, whole=False)
            np.divide(pixels, 255 if pixels.dtype == np.uint8 else 1, out=image, dtype=np.float32)

    def _pixels(self, row: int, whole: bool) -> Pixels:
        """One image as the data set holds it, (c, h, w), or its whole picture, which is larger."""
        if (row, whole) in self._kept:
            return self._kept[row, whole]
        x = self._samples.x
        pixels = x.whole(row) if whole and isinstance(x, Pictures) else x[row : row + 1][0]
        if self._keeps:
            self._kept[row, whole] = pixels
        return pixels
