"""A card's `[training]` section -> Recipe."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from robeval.errors import UserError, nearest, raise_together
from robeval.train.registry import Entry, catalog
from robeval.values.card import ModelCard
from robeval.values.parameters import Bound, Count, NotNegative, Positive, Share, resolve
from robeval.values.threat import Norm, ThreatModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keys of `[training]` that every method has; all others are keywords of the method.

    Attributes:
        norm, eps: the ball that training perturbs images in; only for methods that do. Both or neither.
        replays: how often it learns from a batch before the next (free adversarial training's m).
        reduction: whether a batch's loss is the mean over its images, or their sum, which makes each step as many
            times longer.
        learning_rate: the highest one.
        momentum: of SGD.
        decay_on: what `weight_decay` shrinks: everything, or only matrices and convolutions, not biases and BatchNorm.
        schedule: how the learning rate falls: at `decay_epochs`, or after each batch, as half a cosine or a straight
            line to 0 at the end.
        warmup_epochs: before that, it rises from 0 in a straight line.
        decay_epochs: the epochs, counted from 1, from which the learning rate is multiplied by `decay_factor`; 3.5 is
            in the middle of the third.
        pad: so many pixels are added on each side and a random part of the image's own size cut out.
        cut_from: what that part is cut from: the image, or the whole picture that the image is the centre of, which
            photographs from files are.
        pad_with: black, mid-grey or the image's mirror image.
        flip: mirrors left and right by chance: each image for itself, or all of a batch or none.
        ema: the weights that are kept are an average over all steps, in which this is the share of the old average,
            0.999 for example; 0 keeps the last weights.
        validation: this share of the training images is not learnt from; the epoch with the highest accuracy on them,
            under PGD where there is a ball, is the one whose weights are kept.
        validation_steps: of that PGD, from a random start.
        keep_epochs: epochs, counted from 1, whose weights are kept too, as `<id>_epoch<number>`: papers do not always
            report the last one.
        precision: "bfloat16" computes in bfloat16 where that is safe, in channels_last, and needs CUDA.
        channels_last: the other layout of images and weights in memory; convolutions are often faster in it.
        seed: of the first weights, the order of the images, augmentation, dropout and the method's noise.
        threads: on a CPU, where another number rounds differently and so trains other weights; one is the fastest
            for small networks. 0 leaves it to torch.
    """

    norm: Norm = "linf"
    eps: NotNegative = 0.0
    epochs: Count
    batch_size: Count
    replays: Count = 1
    reduction: Literal["mean", "sum"] = "mean"
    learning_rate: Positive
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    decay_on: Literal["all", "kernels"] = "all"
    schedule: Literal["steps", "cosine", "linear"] = "steps"
    warmup_epochs: NotNegative = 0.0
    decay_epochs: tuple[Annotated[float, Bound(1)], ...] = ()
    decay_factor: Positive = 0.1
    pad: Annotated[int, Bound(0)] = 0
    cut_from: Literal["image", "picture"] = "image"
    pad_with: Literal["zero", "grey", "reflect"] = "zero"
    flip: Literal["none", "image", "batch"] = "none"
    ema: Share = 0.0
    validation: Share = 0.0
    validation_steps: Count = 10
    keep_epochs: tuple[Count, ...] = ()
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    seed: Annotated[int, Bound(0, high=1e9)] = 0
    threads: Annotated[int, Bound(0, high=256)] = 0

    def held_out(self, count: int) -> int:
        """How many of `count` training images are not learnt from."""
        return round(self.validation * count)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained: a method with its keywords, and the settings of the loop."""

    method: Entry
    params: Mapping[str, Any]
    settings: Settings

    @property
    def threat(self) -> ThreatModel:
        """The ball that training perturbs images in."""
        return ThreatModel(self.settings.norm, self.settings.eps)


def read(card: ModelCard, count: int) -> Recipe:
    """The recipe of a card, for a training set of `count` images, with every default filled in.

    Raises:
        UserError: no recipe, an unknown method or key, or a value that cannot be; all are named together.
    """
    where = f"{card.where or card.id}: [training]"
    method = _method(card.training, where)
    given = {key: value for key, value in card.training.items() if key != "method"}
    general, own = keys(method)
    problems = [
        UserError(f"takes no '{key}'", where=where, fix=nearest(key, {"method", *general, *own}))
        for key in given
        if key not in general | own
    ]
    settings, wrong = resolve(Settings, {key: given[key] for key in given if key in general}, where)
    params, amiss = resolve(method.function, {key: given[key] for key in given if key in own}, where)
    problems += wrong + amiss
    if method.adversarial and "eps" in given and "norm" not in given:
        fix = 'Add norm = "linf", or another that `robeval methods` lists for the method.'
        problems.append(UserError("'eps' is given, but not the norm that it is measured in", where=where, fix=fix))
    if not wrong:
        problems += _impossible(Settings(**settings), method, count, where)
    raise_together(problems)
    return Recipe(method, params, Settings(**settings))


def _method(training: Mapping[str, Any], where: str) -> Entry:
    known, name = catalog(), training.get("method")
    if name is None:
        raise UserError("'method' is missing", where=where, fix=f"Add 'method = ...'. {nearest('', known)}")
    if not isinstance(name, str) or name not in known:
        raise UserError(f"unknown method {name!r}", where=where, fix=nearest(str(name), known))
    return known[name]


def keys(method: Entry) -> tuple[set[str], set[str]]:
    """The keys that set up the loop, and those that are the method's own."""
    general = {each.name for each in fields(Settings)}
    own = inspect.signature(method.function).parameters.values()
    return general if method.adversarial else general - {"norm", "eps", "validation_steps"}, {
        each.name for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _impossible(settings: Settings, method: Entry, count: int, where: str) -> list[UserError]:
    """Settings that are each well formed but cannot be together, or with this data set."""
    problems = _impossible_ball(settings, method, where) if method.adversarial else []
    held = settings.held_out(count)
    if held >= count:
        found = f"'validation' is {settings.validation:g}, which leaves none of {count} images to learn from"
        problems.append(UserError(found, where=where, fix="Give a smaller share, 0.1 for example."))
    elif settings.batch_size > count - held:
        rest = f" after {held} are held out" if held else ""
        found = f"'batch_size' is {settings.batch_size}, but there are only {count - held} training images{rest}"
        problems.append(UserError(found, where=where, fix=f"Set it to {count - held} or less."))
    if settings.validation and not held:
        found = f"'validation' is {settings.validation:g}, which is none of {count} training images"
        problems.append(UserError(found, where=where, fix="Leave it out, or give a larger share."))
    if settings.optimiser == "adam" and settings.momentum:
        found = f"'momentum' is {settings.momentum:g}, but adam has its own"
        problems.append(UserError(found, where=where, fix='Leave it out, or set optimiser = "sgd".'))
    if settings.schedule != "steps" and settings.decay_epochs:
        found = f"'decay_epochs' is given, but the schedule \"{settings.schedule}\" would not use it"
        problems.append(UserError(found, where=where, fix='Leave it out, or set schedule = "steps".'))
    if settings.warmup_epochs >= settings.epochs:
        found = f"'warmup_epochs' is {settings.warmup_epochs:g}, but there are only {settings.epochs} epochs"
        problems.append(UserError(found, where=where, fix="Set it to less than 'epochs'."))
    if max(settings.keep_epochs, default=0) > settings.epochs:
        found = f"'keep_epochs' has {max(settings.keep_epochs)}, but there are only {settings.epochs} epochs"
        fix = "Name epochs from 1 to 'epochs', or none with keep_epochs = []."
        problems.append(UserError(found, where=where, fix=fix))
    if settings.ema == 1:
        found = "'ema' is 1, so the weights that are kept would be the first ones"
        problems.append(UserError(found, where=where, fix="Set it to less than 1, 0.999 for example."))
    return problems


def _impossible_ball(settings: Settings, method: Entry, where: str) -> list[UserError]:
    problems = []
    if settings.eps == 0:
        found = f"'{method.name}' needs a ball, but 'eps' is missing or 0"
        problems.append(UserError(found, where=where, fix='Add the radius in pixel units, for example eps = "8/255".'))
    if settings.norm not in method.norms:
        found = f"'{method.name}' is not defined for norm '{settings.norm}'"
        problems.append(UserError(found, where=where, fix=f"It can do: {', '.join(method.norms)}."))
    if settings.norm == "linf" and settings.eps > 1:
        found = f"'eps' is {settings.eps:g}, but images are in [0, 1]"
        problems.append(UserError(found, where=where, fix=f'Did you mean "{settings.eps:g}/255"?'))
    return problems
