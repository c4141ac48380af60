"""What an attack is given: images to break, and everything it may ask about them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from robeval.ops import geometry
from robeval.ops.microbatch import Loss, Microbatches, by_row
from robeval.ops.noise import Noise
from robeval.values.threat import ThreatModel

Choice = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]


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
        threat: the ball to stay in; for a minimal-distance attack its norm is the one to make small.
        noise: random numbers that belong to the samples.
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
        eot: int = 1,
    ) -> None:
        self.model, self.x, self.y, self.threat, self.noise = model, x, y, threat, noise
        self.forwards = torch.zeros_like(y)
        self.backwards = torch.zeros_like(y)
        self.nonfinite = torch.zeros_like(y, dtype=torch.bool)
        self._active = torch.arange(len(y), device=y.device)
        self._retired = torch.zeros_like(y, dtype=torch.bool)
        self._bounds = geometry.limits(x, threat)
        self._watch, self._on_step, self._eot = watch, on_step, eot
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
        answer = self._averaged(lambda: (self.model.logits(points[rows]),))[0]
        self._count(forwards=1)
        self._see(rows, points, answer, None)
        return _spread(answer, rows, len(points))

    def gradient(self, points: Tensor, loss: Loss, target: Tensor | None = None) -> Tensor:
        """The slope of each row's loss at its point, float32 (n, c, h, w).

        Args:
            loss: takes logits (n, k) and the target, returns a value per row.
            target: what the loss compares with, one row per image; the true classes if not given.
        """
        return self.ask(points, loss, target)[2]

    def value_and_gradient(self, points: Tensor, loss: Loss, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The loss, float32 (n,), and its slope, float32 (n, c, h, w), at the points."""
        return self.ask(points, loss, target)[1:]

    def ask(self, points: Tensor, loss: Loss, target: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, float32 (n, k), the loss, float32 (n,), and its slope, float32 (n, c, h, w): one pass each way."""
        rows = self._active
        wanted = self.y if target is None else target
        self._asked = (loss, wanted)
        logits, values, slopes = self._averaged(lambda: self.model.value_and_gradient(points[rows], loss, wanted[rows]))
        self._count(forwards=1, backwards=1)
        slopes = self._finite(rows, slopes)
        self._see(rows, points, logits, values)
        logits, values, slopes = (_spread(each, rows, len(points)) for each in (logits, values, slopes))
        return logits, values, slopes

    def jacobian(self, points: Tensor, classes: Tensor, choose: Choice | None = None) -> tuple[Tensor, ...]:
        """Logits, float32 (n, k), and the slopes of the logits of some classes, float32 (n, m, c, h, w).

        Counted as one forward pass and m backward passes, however the rows are put into microbatches.

        Args:
            classes: int64 (n, m).
            choose: what to keep of them, since all slopes of all rows may be more than memory holds. Called for a
                microbatch at a time with its rows, by index, its logits and its slopes; returns tensors of as many
                rows, and those are the answer.
        """
        active, kept = self._active, []
        self._count(forwards=1, backwards=classes.shape[1])
        for rows in active.split(self.model.size):
            logits, slopes = self._averaged(partial(self.model.jacobian, points[rows], classes[rows]))
            slopes = self._finite(rows, slopes)
            self._see(rows, points, logits, None)
            kept.append(choose(rows, logits, slopes) if choose else (logits, slopes))
        return tuple(_spread(torch.cat(parts), active, len(points)) for parts in zip(*kept, strict=True))

    def look_again(self, points: Tensor) -> None:
        """Show the watch these points with the loss last asked for, as the last iterate has not been seen yet."""
        if self._asked:
            self.ask(points, *self._asked)

    def project(self, points: Tensor, eps: float | None = None) -> Tensor:
        """The points, moved into the ball, or one of another radius, and the pixel box."""
        threat = self.threat if eps is None else replace(self.threat, eps=eps)
        bounds = self._bounds if eps is None else geometry.limits(self.x, threat)
        return self._geometry(lambda p, x, *b: geometry.project(p, x, threat, b), points, self.x, *bounds)

    def clip(self, points: Tensor) -> Tensor:
        """The points, moved into the pixel box only."""
        return points.clamp(*self.threat.box)

    def steepest(self, slope: Tensor) -> Tensor:
        """The step of norm 1 that climbs the slope fastest; 0 where the slope is 0."""
        return self._geometry(lambda s: geometry.steepest(s, self.threat.norm), slope)

    def random_point(self, *, clip: bool = False, sphere: bool = False) -> Tensor:
        """A point drawn uniformly from the ball around each image, or on its sphere; inside the box only if `clip`."""
        points = geometry.random_point(self.x, self.threat, self.noise, sphere=sphere)
        return self.project(points) if clip else points

    def norms(self, tensor: Tensor, norm: str) -> Tensor:
        """Each row's norm ("linf", "l2", "l1"), float64 (n, 1, 1, 1), ready to divide by."""
        return geometry.per_row(by_row(lambda t: geometry.norms(t, norm), geometry.ROWS, tensor))

    def distance(self, points: Tensor) -> Tensor:
        """How far each point is from its clean image in the threat's norm, float64 (n,)."""
        return by_row(lambda p, x: geometry.distance(p, x, self.threat.norm), geometry.ROWS, points, self.x)

    def show(self, rows: Tensor, points: Tensor, logits: Tensor) -> None:
        """Show the watch some rows, by index, about which the model was asked by somebody else."""
        live = torch.isin(rows, self._active)
        if self._watch and live.any():
            self._watch(self, rows[live], points[live], logits[live], None)

    def retire(self, rows: Tensor) -> None:
        """Stop computing these rows, given by index."""
        self._retired[rows] = True
        self._active = self._active[~self._retired[self._active]]

    @contextmanager
    def only(self, rows: Tensor) -> Iterator[None]:
        """Meanwhile compute only these rows, given by index; the others are as retired ones are."""
        before = self._active
        self._active = rows[~self._retired[rows]]
        try:
            yield
        finally:
            self._active = before[~self._retired[before]]

    @contextmanager
    def watched(self, watch: Watch) -> Iterator[None]:
        """Meanwhile show this watch, and no other, every point the model is asked about."""
        before, self._watch = self._watch, watch
        try:
            yield
        finally:
            self._watch = before

    @property
    def active(self) -> Tensor:
        """The rows that are not retired, by index."""
        return self._active

    def _averaged(self, ask: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What the model answers, on average over the passes of expectation over transformation."""
        if self._eot == 1:
            return ask()
        total = ask()
        for _ in range(self._eot - 1):  # one after the other: a sum over a stack may round by the number of rows
            total = tuple(sum_ + each for sum_, each in zip(total, ask(), strict=True))
        return tuple(each / self._eot for each in total)

    def _count(self, forwards: int, backwards: int = 0) -> None:
        self.forwards[self._active] += forwards * self._eot
        self.backwards[self._active] += backwards * self._eot

    def _finite(self, rows: Tensor, slopes: Tensor) -> Tensor:
        """The slopes with 0 for NaN and infinity, and a note of the rows that had any."""
        finite = slopes.isfinite()
        self.nonfinite[rows] |= ~finite.flatten(1).all(dim=1)
        return slopes.where(finite, 0.0)

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
