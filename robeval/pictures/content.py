"""What a picture shows, before it is drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMS = {"linf": "ℓ∞", "l2": "ℓ₂", "l1": "ℓ₁"}  # as they are written in pictures


@dataclass(frozen=True, slots=True)
class Panel:
    """An image in a grid.

    Attributes:
        pixels: float (h, w) or (h, w, 3), in [0, 1]; if `signed` (h, w) in [-1, 1], where 0 is white.
        caption: the line below.
        alarm: whether the caption stands out, as where a prediction is wrong.
    """

    pixels: NDArray[np.floating]
    caption: str = ""
    signed: bool = False
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Strip:
    """A row of a grid, with what stands left of it."""

    label: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Images in rows of equal length, with what stands above each column."""

    title: str
    note: str
    heads: tuple[str, ...]
    strips: tuple[Strip, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve.

    Attributes:
        x, y: its points, (n,).
        low, high: 95 % intervals of y, (n,).
        colour: place in the palette.
        dashed: whether it is the lesser of two of one colour.
    """

    label: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves in percent over one axis."""

    title: str
    note: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    whole: bool = False  # whether x counts something


@dataclass(frozen=True, slots=True)
class Bins:
    """A histogram.

    Attributes:
        edges: of the bins, (k + 1,).
        shares: percent of the samples in each, (k,).
        least: the smallest value.
    """

    label: str
    edges: Floats
    shares: Floats
    least: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Histograms over each other."""

    title: str
    note: str
    x_label: str
    y_label: str
    sets: tuple[Bins, ...]
    mark: float | None = None
    mark_label: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A model in a plane, with 95 % intervals (low, high)."""

    label: str
    x: float
    x_interval: tuple[float, float]
    y: float
    y_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Models in a plane of two accuracies in percent, of which y cannot be above x."""

    title: str
    note: str
    x_label: str
    y_label: str
    points: tuple[Point, ...]


Content = Grid | Chart | Histogram | Scatter
