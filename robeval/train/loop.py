"""Training: from a card and its data to weights and a card that names them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.train import augment, log
from robeval.train.epochs import DivergedError, Glance, Job, epochs
from robeval.train.images import Images
from robeval.train.keeper import Keeper, identity
from robeval.train.log import Epoch
from robeval.train.modes import Mixed, threads, weights_of
from robeval.train.recipe import Recipe, Settings, read
from robeval.train.schedule import optimiser
from robeval.train.state import State, clone
from robeval.train.validate import hold_out
from robeval.values.card import ModelCard
from robeval.whole import write_whole
from robeval.zoo import cards
from robeval.zoo.archs.registry import build
from robeval.zoo.model import with_input
from robeval.zoo.save import save_model

Listen = Callable[[Epoch], None]


def train(
    card: ModelCard,
    samples: Samples,
    out: Path,
    device: torch.device,
    listen: Listen,
    *,
    glance: Glance = lambda share, epoch: None,
    restart: bool = False,
    pause: float = 1.0,
) -> Path:
    """Train a card's network by its recipe and return the path of the new card.

    Writes `<out>/checkpoints/<id>.safetensors`, then `<out>/cards/<id>.toml`, which is the card with the new
    checksum and without published numbers, which belong to other weights; where images are held out, these are the
    weights of the best epoch, and `<id>_last` those of the last; `<id>_epoch<n>` are those of the epochs that
    `keep_epochs` names. Before, the card that is trained from is written to
    `<out>/recipes/<id>.toml`, and after each epoch the log to `<out>/logs/<id>.csv`.

    On the way there is `<out>/unfinished/<id>.safetensors`, from which the same recipe goes on, also in the middle
    of an epoch. On one CPU, with as many threads, the same recipe gives the same bytes, interrupted or not. Torch's
    own random state is as before afterwards.

    Args:
        listen: is told of each epoch that is over.
        glance: is told which share of the training is done and what its epoch came to so far, now and then.
        restart: begins anew where an unfinished training would go on.
        pause: seconds between two savings, at least, which take a twentieth of the time at most; 0: after every batch.

    Raises:
        DivergedError: the loss or a weight is not finite. The weights after the last epoch before are `<id>_last`.
        UserError: the recipe cannot be used, an unfinished training is of another one, or a file cannot be written.
    """
    recipe = _usable(card, samples, device)
    keeper = Keeper(_unfinished(out, card), identity(card, recipe, samples, device.type), pause)
    if restart:
        keeper.remove()
    with threads(recipe.settings.threads), _seeded(recipe.settings.seed, device):
        job, state = _begin(card, recipe, samples, device, keeper, glance)
        keeper.restore(state)
        cards.write(_made(card, card.id), out / "recipes" / f"{card.id}.toml")
        _learn(job, state, card, out, listen)
    path = _write(card, state, out)
    keeper.remove()
    return path


def _usable(card: ModelCard, samples: Samples, device: torch.device) -> Recipe:
    """The card's recipe, if these images and this device can be used with it."""
    recipe, where = read(card, len(samples)), card.where or card.id
    augment.check(recipe.settings, samples, where)
    _check_precision(recipe.settings, device, where)
    return recipe


def _learn(job: Job, state: State, card: ModelCard, out: Path, listen: Listen) -> None:
    """Every epoch that is left, each logged when it is over; a training that diverges leaves its last good weights."""
    try:
        for epoch in epochs(job, state):
            if epoch.number in job.recipe.settings.keep_epochs:
                with weights_of(state.network, state.good):
                    save_model(_made(card, f"{card.id}_epoch{epoch.number}"), state.network, out)
            write_whole(out / "logs" / f"{card.id}.csv", log.text(state.epochs).encode())
            listen(epoch)
    except DivergedError as error:
        job.keeper.remove()
        raise _with_last_good(error, card, state, out) from None


def _begin(
    card: ModelCard, recipe: Recipe, samples: Samples, device: torch.device, keeper: Keeper, glance: Glance
) -> tuple[Job, State]:
    """What stays the same during the training, and where it stands before the first batch."""
    settings, where = recipe.settings, card.where or card.id
    network = build(card.network.arch, card.network.params, samples.shape, samples.num_classes, where)
    net = _prepared(with_input(network, card.input, samples.shape[0], where), settings, device)
    state = State(network, optimiser(settings, net), device)
    state.average = clone(network.state_dict()) if settings.ema else {}
    held_out = hold_out(recipe, len(samples))
    return Job(recipe, net, Images(samples, device), *held_out, keeper, glance, where), state


def unfinished(card: ModelCard, out: Path) -> bool:
    """Whether a training of that name has been begun in the folder and would go on."""
    return _unfinished(out, card).is_file()


def _unfinished(out: Path, card: ModelCard) -> Path:
    return out / "unfinished" / f"{card.id}.safetensors"


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's random state, which first weights, order and dropout draw from: set inside, as before after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _check_precision(settings: Settings, device: torch.device, where: str) -> None:
    if settings.precision == "bfloat16" and device.type != "cuda":
        found = f"'precision' is \"bfloat16\", which is for CUDA, but the device is {device.type}"
        fix = 'Train with --device cuda, or set precision = "float32".'
        raise UserError(found, where=f"{where}: [training]", fix=fix)


def _prepared(net: nn.Module, settings: Settings, device: torch.device) -> nn.Module:
    """The network on its device, in its layout and precision, in training mode."""
    net = net.to(device).train()
    if settings.channels_last or settings.precision == "bfloat16":
        net = nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    return Mixed(net, device.type).train() if settings.precision == "bfloat16" else net


def _with_last_good(error: DivergedError, card: ModelCard, state: State, out: Path) -> DivergedError:
    """The error with the place of the last weights that were finite, which are saved."""
    if not state.good:
        return DivergedError(f"{error.what}; there are no weights of an epoch before", where=error.where, fix=error.fix)
    state.network.load_state_dict(state.good)
    path = save_model(_made(card, f"{card.id}_last"), state.network, out)
    found = f"{error.what}; the weights after epoch {len(state.epochs)}, which are, are those of {path}"
    return DivergedError(found, where=error.where, fix=error.fix)


def _write(card: ModelCard, state: State, out: Path) -> Path:
    """Save the weights that are kept, and those of the last epoch if they are others."""
    state.network.load_state_dict(clone(state.final))
    if state.best:
        save_model(_made(card, f"{card.id}_last"), state.network, out)
        state.network.load_state_dict(state.best)
    return save_model(_made(card, card.id), state.network, out)


def _made(card: ModelCard, name: str) -> ModelCard:
    return replace(card, id=name, checkpoint=None, published=(), measured=())
