"""Exact l-inf nearest neighbours among images that may be many.

For one query, a few references are measured whole; the smallest of their distances is a bound. Each of them is that far
or further away because of some pixel, so a handful of pixels, chosen greedily, tells all of them apart from the query;
the same pixels rule out nearly all other references too. What is left after looking at these pixels alone is treated
likewise, until nothing is left. No step guesses, so the result is exact, and it does not depend on other queries.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HEAD = 128  # references measured whole at a time; fewer than 256, so that votes fit in a byte
SCREEN = 1024  # pixels, evenly spread, that references can be ruled out by


class Chebyshev:
    """References to measure queries against.

    uint8 images are compared as they are; others in float64, in which the difference of float32 numbers is exact.
    Beside the references themselves, memory holds at most 1,024 pixels of each once more.

    Args:
        references: images, (n, d).
    """

    def __init__(self, references: Array) -> None:
        if references.dtype != np.uint8:
            references = references.astype(np.float64)
        self._references = np.ascontiguousarray(references)
        step = -(-references.shape[1] // SCREEN)
        self._screen = np.arange(0, references.shape[1], step)
        self._columns = np.ascontiguousarray(references[:, self._screen].T)  # (pixels, n)

    def nearest(self, query: Array, allowed: NDArray[np.bool_]) -> tuple[float, int]:
        """Distance and index of a nearest allowed reference: in pixel units of the images; infinite and -1 of none.

        Args:
            query: one image, (d,).
            allowed: which references count, bool (n,).
        """
        query = query.astype(self._references.dtype)
        best, where = np.inf, -1
        left = np.flatnonzero(allowed)
        while len(left) and best > 0:
            head = left[:: -(-len(left) // HEAD)]
            apart = _apart(self._references[head], query)
            found = apart.max(axis=1)
            place = int(found.argmin())
            if found[place] < best:
                best, where = float(found[place]), int(head[place])
            if len(head) == len(left):
                break
            pixels = _telling(apart[:, self._screen] >= best)
            left = self._nearer(left, pixels, query, best) if pixels else np.setdiff1d(left, head)
        return best, where

    def _nearer(self, left: Array, pixels: list[int], query: Array, bound: float) -> Array:
        """Those of `left` that are nearer than the bound in all of these pixels."""
        if len(left) < self._columns.shape[1] // 8:
            for pixel in pixels:
                left = left[_within(self._columns[pixel][left], query[self._screen[pixel]], bound)]
            return left
        kept = np.zeros(self._columns.shape[1], dtype=np.bool_)  # whole columns are read faster than picked from
        kept[left] = True
        for pixel in pixels:
            kept &= _within(self._columns[pixel], query[self._screen[pixel]], bound)
        return np.flatnonzero(kept)


def _apart(images: Array, query: Array) -> Array:
    """|a - b| in the type of the images, (m, d)."""
    if images.dtype == np.uint8:
        return np.maximum(images, query) - np.minimum(images, query)
    return np.abs(images - query)


def _within(values: Array, value: Any, bound: float) -> NDArray[np.bool_]:
    """Which values are nearer to `value` than the bound."""
    if values.dtype != np.uint8:
        return np.abs(values - value) < bound
    low, high = max(int(value) - int(bound) + 1, 0), min(int(value) + int(bound) - 1, 255)
    return (values - np.uint8(low)) <= np.uint8(max(high - low, 0))  # what is below `low` wraps around


def _telling(far: NDArray[np.bool_]) -> list[int]:
    """Few pixels in which all rows are far that are so anywhere: always the one that most of the others are far in.

    Args:
        far: whether a row is far from the query in a pixel, (rows, pixels).
    """
    chosen: list[int] = []
    rows = far.view(np.uint8)
    while len(rows):
        votes = np.add.reduce(rows, axis=0, dtype=np.uint8)
        pixel = int(votes.argmax())
        if not votes[pixel]:
            break
        chosen.append(pixel)
        rows = rows[rows[:, pixel] == 0]
    return chosen
