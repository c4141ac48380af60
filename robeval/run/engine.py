"""Running one cell: attack the samples still standing, restart, and let the judge decide."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from robeval.attacks import registry
from robeval.errors import CellError
from robeval.ops import geometry
from robeval.ops.microbatch import Microbatches, by_row
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.run.judge import Judgement, judge
from robeval.run.select import Selector, selector
from robeval.values.attack import AttackSpec
from robeval.values.cell import NO_CLASS, Cell, Verdicts
from robeval.values.threat import ThreatModel


@dataclass(frozen=True, slots=True)
class Made:
    """What an attack made of some samples.

    Attributes:
        images: its candidates, float32 (n, c, h, w); nobody has looked yet whether they are allowed.
        forwards, backwards: passes made for each, int64 (n,).
        nonfinite: a logit or gradient on the way was NaN or infinite, bool (n,).
    """

    images: Tensor
    forwards: Tensor
    backwards: Tensor
    nonfinite: Tensor

    def some(self, rows: Tensor) -> "Made":
        """Of these samples, by index."""
        return Made(self.images[rows], self.forwards[rows], self.backwards[rows], self.nonfinite[rows])


def run_cell(
    cell: Cell,
    model: Microbatches,
    x: Tensor,
    y: Tensor,
    before: Verdicts | None = None,
    on_step: Callable[[float], None] | None = None,
    source: Microbatches | None = None,
    images: Tensor | None = None,
    ids: Tensor | None = None,
    made: Made | None = None,
) -> Verdicts:
    """Verdicts on one slice under one attack.

    Samples that are wrong on the clean image, or that `before` says are broken, are not attacked. Each restart sees
    only what the ones before left standing. Whatever draws from torch's global generator meanwhile (models that
    are random, other libraries) gets a stream of the cell's own.

    Args:
        model: the model whose accuracy is measured.
        x, y: the slice's images, float32 (n, c, h, w) in [0, 1], and true classes, int64 (n,).
        before: verdicts of the cell before this one in its chain.
        on_step: told the share of the cell that is done, 0 to 1.
        source: the model that the attack sees, if it is another (transfer).
        images: of x's shape; the rows of attacked samples are overwritten with the image that broke them, or with
            the last one that the attack proposed and that is allowed.
        ids: the samples' places in the whole split, int64 (n,), by which noise is drawn; those of the slice if None.
        made: what `make` made on the source; nothing is attacked then.
    """
    samples = torch.arange(cell.slice.start, cell.slice.stop) if ids is None else ids
    with torch.random.fork_rng([x.device] if x.is_cuda else []):
        torch.manual_seed(int(cell.key[:15], 16))
        return _run_cell(cell, model, x, y, samples, before, on_step, source or model, images, made)


def can_be_shared(spec: AttackSpec) -> bool:
    """Whether an attack on a source goes its way without asking the target, so that all targets get its images."""
    return spec.select != "any" and spec.restarts == 1


def make(
    cell: Cell,
    source: Microbatches,
    x: Tensor,
    y: Tensor,
    on_step: Callable[[float], None] | None = None,
    ids: Tensor | None = None,
) -> Made:
    """Attack every sample of a slice on the source, for whichever target; arguments as in `run_cell`.

    A sample gets the image that `run_cell` makes of it.
    """
    samples = torch.arange(cell.slice.start, cell.slice.stop) if ids is None else ids
    noise = Noise(cell.seed, cell.attack.use, 0, samples.numpy(), x.device)
    watch = selector(cell.attack.select, partial(_confirmed, source, cell.attack.threat))
    with torch.random.fork_rng([x.device] if x.is_cuda else []):
        torch.manual_seed(int(made_key(cell)[:15], 16))
        return _attempt(cell.attack, source, x, y, noise, watch, on_step)


def made_key(cell: Cell) -> str:
    """A hash of all that can change what `make` makes."""
    return replace(cell, model="", weights="", after="").key


def _run_cell(
    cell: Cell,
    model: Microbatches,
    x: Tensor,
    y: Tensor,
    samples: Tensor,
    before: Verdicts | None,
    on_step: Callable[[float], None] | None,
    seen: Microbatches,
    images: Tensor | None,
    made: Made | None,
) -> Verdicts:
    spec = cell.attack
    clean = _clean(cell, model, x, y, samples) if before is None else torch.tensor(before.clean_predicted).to(y)
    sheet = _Sheet(samples, y, clean, before)
    for restart in range(spec.restarts):
        rows = sheet.standing()
        if not len(rows):
            break
        if made is None:
            noise = Noise(cell.seed, spec.use, restart, samples[rows.cpu()].numpy(), x.device)
            watch = selector(spec.select, partial(_confirmed, model, spec.threat), transfer=seen is not model)
            share = _share(on_step, restart, spec.restarts)
            found = _attempt(spec, seen, x[rows], y[rows], noise, watch, share)
        else:
            found = made.some(rows)
        anywhere = bool(spec.minimises) and spec.score != "project"
        judged = judge(model, x[rows], y[rows], found.images, spec.threat, anywhere)
        sheet.enter(rows, judged, found)
        if images is not None:
            fine = ~(judged.escaped | judged.nonfinite)
            images[rows[fine]] = found.images[fine]
    return sheet.verdicts()


def _attempt(
    spec: AttackSpec,
    seen: Microbatches,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    watch: Selector | None,
    on_step: Callable[[float], None] | None,
) -> Made:
    """One go at some samples, of which the watch chooses the answer."""
    problem = Problem(seen, x, y, _goal(spec), noise, watch, on_step, spec.eot)
    candidates = registry.catalog()[spec.use].function(problem, **spec.params)
    if watch:
        candidates = watch.chosen(problem, candidates)
    if spec.score == "project":
        candidates = _projected(candidates, x, spec.threat)
    return Made(candidates.detach(), problem.forwards, problem.backwards, problem.nonfinite)


def _goal(spec: AttackSpec) -> ThreatModel:
    """The threat model as the attack sees it: one that minimises another norm than that of the ball sees no ball."""
    if not spec.minimises or spec.minimises == spec.threat.norm:
        return spec.threat
    return ThreatModel(spec.minimises, math.inf, spec.threat.box)


def _projected(points: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    bounds = geometry.limits(x, threat)
    return by_row(lambda p, c, *b: geometry.project(p, c, threat, b), geometry.ROWS, points, x, *bounds)


class _Sheet:
    """The verdicts while they are being made, one row per sample."""

    def __init__(self, samples: Tensor, y: Tensor, clean: Tensor, before: Verdicts | None) -> None:
        self.samples, self.y, self.clean = samples, y, clean
        self.broken, self.predicted = clean != y, clean.clone()
        self.distance = torch.where(self.broken, 0.0, torch.nan)
        self.attacked, self.escaped = torch.zeros_like(self.broken), torch.zeros_like(self.broken)
        self.nonfinite = clean == NO_CLASS if before is None else torch.zeros_like(self.broken)
        self.forwards, self.backwards = torch.zeros_like(y), torch.zeros_like(y)
        if before is not None:
            self.broken |= torch.tensor(before.broken, device=y.device)
            self.predicted = torch.tensor(before.predicted).to(y)
            self.distance = torch.tensor(before.distance).to(self.distance)

    def standing(self) -> Tensor:
        """Index of each sample that is not broken."""
        return (~self.broken).nonzero().squeeze(1)

    def enter(self, rows: Tensor, found: Judgement, made: Made) -> None:
        """Write down what was found about some samples."""
        self.broken[rows] = found.broken
        self.predicted[rows] = found.predicted
        self.distance[rows] = torch.fmin(self.distance[rows], found.distance)  # the least that is not NaN
        self.attacked[rows] = True
        self.escaped[rows] |= found.escaped
        self.nonfinite[rows] |= found.nonfinite | made.nonfinite
        self.forwards[rows] += made.forwards
        self.backwards[rows] += made.backwards

    def verdicts(self) -> Verdicts:
        """The sheet as arrays."""
        return Verdicts(
            sample=self.samples.numpy(),
            label=self.y.short().cpu().numpy(),
            clean_predicted=self.clean.short().cpu().numpy(),
            predicted=self.predicted.short().cpu().numpy(),
            broken=self.broken.cpu().numpy(),
            attacked=self.attacked.cpu().numpy(),
            distance=self.distance.cpu().numpy(),
            escaped=self.escaped.cpu().numpy(),
            nonfinite=self.nonfinite.cpu().numpy(),
            queries=self.forwards.int().cpu().numpy(),
            backwards=self.backwards.int().cpu().numpy(),
        )


def _clean(cell: Cell, model: Microbatches, x: Tensor, y: Tensor, samples: Tensor) -> Tensor:
    """The classes given to the clean images, int64 (n,); a chain's first cell decides for all of it.

    An image whose logits are NaN or infinite is given none, and so is misclassified without any attack.

    Raises:
        CellError: a clean image has pixels outside [0, 1].
    """
    clean = judge(model, x, y, x, cell.attack.threat)
    if clean.escaped.any():
        first = int(samples[int(clean.escaped.nonzero()[0])])
        raise CellError(
            f"clean sample {first} of {cell.slice.dataset} is not in [0, 1] "
            f"({int(clean.escaped.sum())} of {len(x)} samples)",
            where=f"model '{cell.model}'",
            fix="Scale the images to [0, 1]; what the model wants instead belongs into its input layer.",
        )
    return clean.predicted.masked_fill(clean.nonfinite, NO_CLASS)


def _confirmed(model: Microbatches, threat: ThreatModel, problem: Problem, rows: Tensor, points: Tensor) -> Tensor:
    return judge(model, problem.x[rows], problem.y[rows], points, threat).broken


def _share(on_step: Callable[[float], None] | None, restart: int, restarts: int) -> Callable[[float], None] | None:
    return None if on_step is None else lambda done: on_step((restart + done) / restarts)
