"""Epochs: every image once in a new order, a step for each batch, and what it came to."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.augment import NAME, augment, cutter
from robeval.train.images import Batch, Images
from robeval.train.keeper import Keeper
from robeval.train.log import Epoch
from robeval.train.modes import eval_mode, weights_of
from robeval.train.passing import Passing
from robeval.train.recipe import Recipe
from robeval.train.registry import Course
from robeval.train.schedule import rate, set_rate
from robeval.train.state import State, follow
from robeval.train.validate import validate

_ASK = 10  # of so many batches one is asked for its clean accuracy where the method itself never does
_GLANCE = 0.2  # seconds between two looks at an epoch that goes on

Glance = Callable[[float, Epoch], None]


class DivergedError(UserError):
    """The loss or a weight is not finite: the recipe could be used, but led nowhere."""


@dataclass(frozen=True, slots=True)
class Job:
    """What stays the same during a training.

    Attributes:
        net: the network with its input layer, as the method sees it.
        images: all training images and their classes.
        learnt, held: indices of the images that are learnt from and of those held out, int64.
        glance: is shown, now and then, which share of the training is done, and the epoch so far.
    """

    recipe: Recipe
    net: nn.Module
    images: Images
    learnt: Tensor
    held: Tensor
    keeper: Keeper
    glance: Glance
    where: str


def epochs(job: Job, state: State) -> Iterator[Epoch]:
    """Each epoch that is not over yet, when it is."""
    settings = job.recipe.settings
    while state.epoch <= settings.epochs:
        if not state.batch:
            state.begin_epoch(job.learnt[torch.randperm(len(job.learnt))])
        _learn_epoch(job, state)
        epoch = _so_far(job, state)
        if len(job.held):
            with weights_of(state.network, state.average) if state.average else nullcontext():
                found = validate(job.recipe, job.net, job.images, job.held)
            epoch = replace(epoch, validation_accuracy=found[0], validation_robust_accuracy=found[1])
        state.end_epoch(epoch, keep_best=bool(len(job.held)))
        yield epoch


def _learn_epoch(job: Job, state: State) -> None:
    """The rest of the epoch, saved now and then; nothing that is not finite is saved."""
    batches = state.order.split(job.recipe.settings.batch_size)
    start, looked = time.perf_counter() - state.seconds, 0.0
    cut = cutter(job.recipe.settings, state.epoch, job.images.shape)
    with closing(job.images.ahead(batches[state.batch :], cut)) as coming:
        for batch in coming:
            set_rate(state.optimiser, _rate(job, state, state.batch))
            _learn(job, state, batch)
            state.batch += 1
            state.seconds = time.perf_counter() - start
            if job.keeper.due:
                _check_finite(job, state)
                job.keeper.save(state)
            if state.seconds - looked > _GLANCE:
                looked = state.seconds
                share = (state.epoch - 1 + state.batch / len(batches)) / job.recipe.settings.epochs
                job.glance(share, _so_far(job, state))
    _check_finite(job, state)


def _learn(job: Job, state: State, batch: Batch) -> None:
    """The steps on one batch."""
    recipe, settings, net = job.recipe, job.recipe.settings, job.net
    rows, x, y = batch
    x = augment(x, settings, Noise(settings.seed, NAME, state.epoch, rows.numpy(), x.device))
    if settings.channels_last or settings.precision == "bfloat16":
        x = x.contiguous(memory_format=torch.channels_last)
    course = Course(state.epoch, settings.epochs, state.memory)
    for replay in range(1, settings.replays + 1):
        restart = (state.epoch - 1) * settings.replays + replay
        noise = Noise(settings.seed, recipe.method.name, restart, rows.numpy(), x.device)
        problem = Problem(Microbatches(net, len(rows)), x, y, recipe.threat, noise)
        with Passing(net, x) as passing:
            loss = recipe.method.loss(problem, net, course, recipe.params)
        state.tally += _counted(job, state, problem, loss.detach(), passing)
        state.optimiser.zero_grad()
        (loss * len(rows) if settings.reduction == "sum" else loss).backward()
        state.optimiser.step()
        if settings.ema:
            follow(state.average, state.network.state_dict(), settings.ema)


def _counted(job: Job, state: State, problem: Problem, loss: Tensor, passing: Passing) -> Tensor:
    """What a batch adds to the tally, float64 (5,)."""
    clean, right, changed, robust = passing.right(problem.y)
    if state.batch % _ASK == 0 and not clean.any():
        with eval_mode(job.net):
            clean, right = torch.ones_like(clean), problem.logits(problem.x).argmax(dim=1) == problem.y
    if not job.recipe.method.adversarial:
        changed = torch.zeros_like(changed)
    return torch.stack(
        [loss.double() * len(problem.y), *(each.sum().double() for each in (clean, right, changed, robust))]
    )


def _rate(job: Job, state: State, batch: int) -> float:
    """The learning rate of one of this epoch's batches, counted from 0."""
    settings = job.recipe.settings
    return rate(settings, state.epoch - 1 + batch / math.ceil(len(state.order) / settings.batch_size))


def _so_far(job: Job, state: State) -> Epoch:
    """The epoch as it stands."""
    settings = job.recipe.settings
    loss, clean, right, changed, robust = state.tally.tolist()
    images = min(state.batch * settings.batch_size, len(state.order))
    return Epoch(
        number=state.epoch,
        count=settings.epochs,
        learning_rate=_rate(job, state, state.batch - 1),
        loss=loss / (images * settings.replays),
        accuracy=right / clean if clean else None,
        robust_accuracy=robust / changed if changed else None,
        images_per_second=images / max(state.seconds, 1e-9),
        seconds=state.seconds,
    )


def _check_finite(job: Job, state: State) -> None:
    if not state.finite:
        found = f"the loss or a weight is not finite in epoch {state.epoch} of {job.recipe.settings.epochs}"
        raise DivergedError(found, where=job.where, fix="Lower 'learning_rate' in [training].")
