"""What another library sees of a problem: an ordinary network, whose passes are counted.

Libraries draw from torch's global generator. They get one seed per microbatch, from the random numbers of its first
sample: the same run gives the same candidates, but they are not a function of the sample alone.
"""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from robeval.ops.geometry import per_row
from robeval.ops.problem import Problem

ROUNDING = 1e-6  # times eps where that is above 1

Work = Callable[["Subject", Tensor, Tensor], Tensor]


def minimised(problem: Problem, work: Work) -> Tensor:
    """The candidates of a minimal-distance attack, as the library gives them.

    Args:
        work: called with a network, images and classes, at most a microbatch at a time; returns the candidates.
    """
    adv = problem.x.clone()
    parts = torch.arange(len(problem.y), device=problem.y.device).split(problem.model.size)
    seeds = (2**24 * problem.noise.uniform([1]).squeeze(1)).long()
    for step in problem.steps(len(parts)):
        rows = parts[step]
        subject = Subject(problem, rows)
        with _apart(problem.x.device, int(seeds[rows[0]])):
            adv[rows] = work(subject, problem.x[rows], problem.y[rows]).detach()
        subject.forget()
    return adv


def in_ball(problem: Problem, work: Work) -> Tensor:
    """The candidates of an attack that stays in the ball.

    Libraries keep to ball and box up to rounding, and the judge allows none. So candidates that are outside by no
    more than `ROUNDING` are moved inside; those that have really escaped stay as they are, to be seen.
    """
    adv = minimised(problem, work)
    low, high = problem.threat.box
    tolerance = ROUNDING * max(problem.threat.eps, 1.0)
    outside = torch.maximum(low - adv, adv - high).flatten(1).amax(dim=1)
    slight = (outside <= tolerance) & (problem.distance(adv) <= problem.threat.eps + tolerance)
    return torch.where(per_row(slight), problem.project(adv), adv)


class Subject(nn.Module):
    """The problem's model for some of its rows, as a network of no parameters that could get a gradient.

    The model is run in the batches that the library makes, not padded to a microbatch: one that asks about an image at
    a time would pay for them all. So a logit can differ in its last bit from what the judge will see.

    Args:
        rows: the rows that a library attacks, by index.
    """

    def __init__(self, problem: Problem, rows: Tensor) -> None:
        super().__init__()
        # Libraries look for the device of the first parameter.
        self.place = nn.Parameter(problem.x.new_empty(0), requires_grad=False)
        self._problem: Problem | None = problem
        self._rows = rows
        self.eval()

    @property
    def problem(self) -> Problem:
        """What it is about."""
        if self._problem is None:
            raise RuntimeError("the attack is over")
        return self._problem

    def forward(self, points: Tensor) -> Tensor:
        """Logits (n, k), at most a microbatch of rows at a time."""
        rows = self._whose(points)
        if torch.is_grad_enabled() and points.requires_grad:
            logits = _one_pass(points, self, rows)
        else:
            with torch.no_grad():
                logits = self.ask(points)
        self._count(self.problem.forwards, rows)
        self._note(rows, logits)
        self.problem.show(rows, points.detach(), logits.detach())
        return logits

    def ask(self, points: Tensor) -> Tensor:
        """Logits (n, k), neither counted nor shown."""
        model = self.problem.model
        return torch.cat([model.model(part) for part in points.split(model.size)])

    def went_back(self, rows: Tensor, slopes: Tensor) -> None:
        """A backward pass was made."""
        self._count(self.problem.backwards, rows)
        self._note(rows, slopes)

    def forget(self) -> None:
        """Let go of the problem, for libraries that never let go of a network."""
        self._problem = None

    def _whose(self, points: Tensor) -> Tensor:
        """The row each point belongs to.

        A library that asks about some of its images does not say which: they are those with the nearest clean images.
        """
        if len(points) == len(self._rows):
            return self._rows
        clean = self.problem.x[self._rows]
        return self._rows[torch.cdist(points.detach().flatten(1), clean.flatten(1)).argmin(dim=1)]

    def _count(self, passes: Tensor, rows: Tensor) -> None:
        passes.index_add_(0, rows, torch.ones_like(rows))

    def _note(self, rows: Tensor, values: Tensor) -> None:
        bad = ~values.detach().isfinite().flatten(1).all(dim=1)
        self.problem.nonfinite[rows[bad]] = True


class _Pass(torch.autograd.Function):
    """The model as one operation: a library's `backward()` reaches the images and no weight."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, subject: Subject, rows: Tensor) -> Tensor:
        with torch.enable_grad():
            ctx.points = points.detach().requires_grad_()
            ctx.logits = subject.ask(ctx.points)
        ctx.subject, ctx.rows = subject, rows
        logits: Tensor = ctx.logits.detach().clone()
        return logits

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = torch.autograd.grad(ctx.logits, ctx.points, slopes[0], retain_graph=True)
        ctx.subject.went_back(ctx.rows, slope)
        return slope, None, None


_one_pass: Callable[..., Tensor] = _Pass.apply


@contextmanager
def _apart(device: torch.device, seed: int) -> Iterator[None]:
    """Nothing on the terminal, and everything global afterwards as it was before."""
    root, mute, tracer = logging.getLogger(), logging.NullHandler(), sys.gettrace()
    root.addHandler(mute)  # without any handler, logging would set up one that prints
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                yield
    finally:
        root.removeHandler(mute)
        sys.settrace(tracer)  # autoattack stops any tracing
