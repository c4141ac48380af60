"""Epochs: from a card and its data to weights and a card that names them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.modes import eval_mode, threads
from robeval.train.recipe import Recipe, Settings, read
from robeval.train.registry import Course
from robeval.values.card import ModelCard
from robeval.zoo.archs.registry import build
from robeval.zoo.model import with_input
from robeval.zoo.save import save_model


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        number: counted from 1, of `count`.
        loss: the method's loss, mean over the training images.
        accuracy: on the clean training images, each in evaluation mode just before its batch was learnt from.
        images_per_second: training images, all the method's passes included.
    """

    number: int
    count: int
    loss: float
    accuracy: float
    images_per_second: float


def train(card: ModelCard, samples: Samples, out: Path, device: torch.device, listen: Callable[[Epoch], None]) -> Path:
    """Train a card's network by its recipe and return the path of the new card.

    Writes `<out>/checkpoints/<id>.safetensors`, then `<out>/cards/<id>.toml`, which is the card with the new
    checksum and without published numbers, which belong to other weights. Torch's own random state is as before
    afterwards. On one CPU, with as many threads, the same recipe gives the same bytes.

    Raises:
        UserError: the recipe cannot be used, the loss or a weight is not finite, or a file cannot be written.
    """
    recipe = read(card, len(samples))
    where = card.where or card.id
    with threads(recipe.settings.threads), _seeded(recipe.settings.seed, device):
        network = build(card.network.arch, card.network.params, samples.shape, samples.num_classes, where)
        net = with_input(network, card.input, samples.shape[0], where).to(device)
        for epoch in _epochs(recipe, net, samples, device):
            if not _finite(epoch, net):
                found = f"the loss or a weight is not finite after epoch {epoch.number} of {epoch.count}"
                raise UserError(found, where=where, fix="Lower 'learning_rate' in [training].")
            listen(epoch)
    return save_model(replace(card, checkpoint=None, published=()), network, out)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's random state, which first weights, order and dropout draw from: set inside, as before after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _epochs(recipe: Recipe, net: nn.Module, samples: Samples, device: torch.device) -> Iterator[Epoch]:
    settings = recipe.settings
    x, y = (tensor.to(device) for tensor in samples.slice(0, len(samples)))
    optimiser = _optimiser(settings, net)
    net.train()
    memory: dict[str, Tensor] = {}
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = settings.rate(number)
        total = torch.zeros(2, device=device)  # loss, right answers
        course = Course(number, settings.epochs, memory)
        for rows in torch.randperm(len(y)).split(settings.batch_size):
            for replay in range(1, settings.replays + 1):
                restart = (number - 1) * settings.replays + replay
                noise = Noise(settings.seed, recipe.method.name, restart, rows.numpy(), device)
                problem = Problem(Microbatches(net, len(rows)), x[rows], y[rows], recipe.threat, noise)
                total += _learn(recipe, problem, net, optimiser, course)
        loss, accuracy = (total / (len(y) * settings.replays)).tolist()
        yield Epoch(number, settings.epochs, loss, accuracy, len(y) / (time.perf_counter() - start))


def _learn(
    recipe: Recipe, problem: Problem, net: nn.Module, optimiser: torch.optim.Optimizer, course: Course
) -> Tensor:
    """One step on one batch; its loss and right answers before the step, summed over the batch, (2,)."""
    with eval_mode(net):
        right = (problem.logits(problem.x).argmax(dim=1) == problem.y).sum()
    loss = recipe.method.loss(problem, net, course, recipe.params)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return torch.stack([loss.detach() * len(problem.y), right])


def _optimiser(settings: Settings, net: nn.Module) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimiser == "adam":
        return torch.optim.Adam(net.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(net.parameters(), lr=rate, momentum=settings.momentum, weight_decay=decay)


def _finite(epoch: Epoch, net: nn.Module) -> bool:
    return math.isfinite(epoch.loss) and all(bool(weight.isfinite().all()) for weight in net.parameters())
