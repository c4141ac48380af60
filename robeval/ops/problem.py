"""What an attack is given: images to break, and everything it may ask about them."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from robeval.ops import geometry
from robeval.ops.microbatch import Loss, Microbatches, by_row
from robeval.ops.noise import Noise
from robeval.values.threat import ThreatModel


class Watch(Protocol):
    """Sees every point the model is asked about; may keep some and retire rows."""

    def __call__(self, problem: "Problem", rows: Tensor, points: Tensor, logits: Tensor, values: Tensor | None) -> None:
        """Rows of the problem by index, with their points, logits and (if asked for) loss values."""
        ...


class Problem:
    """Images with labels, a model to ask, and a ball to stay in.

    Methods take and return one row per image, whatever the microbatch. Rows that are retired are not computed
    any more: their logits and slopes are 0. An attack needs no bookkeeping for them; it writes its loop over
    `steps`, which ends early once every row is retired.

    Attributes:
        x: clean images in [0, 1], float32 (n, c, h, w).
        y: true classes, int64 (n,).
        forwards, backwards: passes made for each row, int64 (n,).
        nonfinite: rows for which a logit or gradient was NaN or infinite, bool (n,).
    """

    def __init__(
        self,
        model: Microbatches,
        x: Tensor,
        y: Tensor,
        threat: ThreatModel,
        noise: Noise,
        watch: Watch | None = None,
        on_step: Callable[[float], None] | None = None,
    ) -> None:
        self.model, self.x, self.y, self.threat, self.noise = model, x, y, threat, noise
        self.forwards = torch.zeros_like(y)
        self.backwards = torch.zeros_like(y)
        self.nonfinite = torch.zeros_like(y, dtype=torch.bool)
        self._active = torch.arange(len(y), device=y.device)
        self._bounds = geometry.limits(x, threat)
        self._watch, self._on_step = watch, on_step
        self._asked: tuple[Loss, Tensor] | None = None

    def steps(self, count: int) -> Iterator[int]:
        """0 to count - 1, as long as any row is active."""
        for step in range(count):
            if not len(self._active):
                return
            if self._on_step:
                self._on_step(step / count)
            yield step

    def logits(self, points: Tensor) -> Tensor:
        """Logits at the points, float32 (n, k), without a graph."""
        rows = self._active
        answer = self.model.logits(points[rows])
        self.forwards[rows] += 1
        self._see(rows, points, answer, None)
        return _spread(answer, rows, len(points))

    def gradient(self, points: Tensor, loss: Loss, target: Tensor | None = None) -> Tensor:
        """The slope of each row's loss at its point, float32 (n, c, h, w).

        Args:
            loss: takes logits (n, k) and the target, returns a value per row.
            target: what the loss compares with, one row per image; the true classes if not given.
        """
        return self.value_and_gradient(points, loss, target)[1]

    def value_and_gradient(self, points: Tensor, loss: Loss, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The loss, float32 (n,), and its slope, float32 (n, c, h, w), at the points."""
        rows = self._active
        wanted = self.y if target is None else target
        self._asked = (loss, wanted)
        logits, values, slopes = self.model.value_and_gradient(points[rows], loss, wanted[rows])
        self.forwards[rows] += 1
        self.backwards[rows] += 1
        finite = slopes.isfinite()
        self.nonfinite[rows] |= ~finite.flatten(1).all(dim=1)
        slopes = slopes.where(finite, 0.0)
        self._see(rows, points, logits, values)
        return _spread(values, rows, len(points)), _spread(slopes, rows, len(points))

    def look_again(self, points: Tensor) -> None:
        """Show the watch these points with the loss last asked for, as the last iterate has not been seen yet."""
        if self._asked:
            self.value_and_gradient(points, *self._asked)

    def project(self, points: Tensor) -> Tensor:
        """The points, moved into the ball and the pixel box."""
        return self._geometry(
            lambda p, x, *bounds: geometry.project(p, x, self.threat, bounds), points, self.x, *self._bounds
        )

    def steepest(self, slope: Tensor) -> Tensor:
        """The step of norm 1 that climbs the slope fastest; 0 where the slope is 0."""
        return self._geometry(lambda s: geometry.steepest(s, self.threat), slope)

    def random_point(self, *, clip: bool = False) -> Tensor:
        """A point drawn uniformly from the ball around each image; inside the pixel box only if `clip`."""
        points = geometry.random_point(self.x, self.threat, self.noise)
        return self.project(points) if clip else points

    def norms(self, tensor: Tensor, norm: str) -> Tensor:
        """Each row's norm ("linf", "l2", "l1"), float64 (n, 1, 1, 1), ready to divide by."""
        return by_row(lambda t: geometry.norms(t, norm), geometry.ROWS, tensor)[:, None, None, None]

    def retire(self, rows: Tensor) -> None:
        """Stop computing these rows, given by index."""
        self._active = self._active[~torch.isin(self._active, rows)]

    def _see(self, rows: Tensor, points: Tensor, logits: Tensor, values: Tensor | None) -> None:
        self.nonfinite[rows] |= ~logits.isfinite().all(dim=1)
        if self._watch:
            self._watch(self, rows, points[rows], logits, values)

    def _geometry(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        # l-inf geometry treats every pixel alone, so its rows are bit-equal in any number of them.
        linf = self.threat.norm == "linf"
        return function(*tensors) if linf else by_row(function, geometry.ROWS, *tensors)


def _spread(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """Values of some rows put back among `count`, with 0 elsewhere."""
    if len(rows) == count:
        return values
    full = values.new_zeros(count, *values.shape[1:])
    full[rows] = values
    return full
