"""From a card, or from the user's own module, to a LoadedModel."""

import copy
import hashlib
import inspect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.card import ModelCard
from robeval.values.digest import digest
from robeval.zoo import checkpoints
from robeval.zoo.assemble import assemble
from robeval.zoo.inspect import IMAGES, Image
from robeval.zoo.model import LoadedModel, freeze, with_input
from robeval.zoo.obtain import obtain


def load_model(
    card: ModelCard,
    shape: tuple[int, int, int],
    num_classes: int,
    checkpoint: Path | None = None,
    images: str = "",
) -> LoadedModel:
    """The card's network with its weights, on the CPU.

    Args:
        shape: channels, height and width of the images.
        checkpoint: the file of weights; looked for, and fetched, if None.
        images: where they are from, if they are other than those of the card's data set.

    Raises:
        UserError: the card's network or input does not fit the images, or its file of weights is missing, not the
            one the card names, unreadable, or another network's.
    """
    path = obtain(card, checkpoint)
    try:  # before the checksum: it can say more of a wrong file
        network, notes = assemble(card, shape, num_classes, path)
        module = with_input(network, card.input, shape[0], card.where or f"card '{card.id}'")
    except UserError:
        if images:
            _refuse_others(card, (shape, num_classes), images)
        raise
    sha256 = checkpoints.verify(card, path)
    if not checkpoints.pinned(card, path):
        notes += (f"the card names no sha256 to check the weights against; that of {path.name} is {sha256}",)
        notes += _other_than_stated(card, path, sha256)
    return LoadedModel(
        id=card.id,
        title=card.title,
        dataset=card.dataset,
        num_classes=num_classes,
        module=freeze(module),
        fingerprint=digest({"network": card.network, "input": card.input, "checkpoint": sha256} | _entry(card)),
        notes=notes,
    )


def _other_than_stated(card: ModelCard, path: Path, sha256: str) -> tuple[str, ...]:
    """What to say of a checksum that was published, though perhaps for another form of the file."""
    stated = card.checkpoint.stated_sha256 if card.checkpoint else ""
    alike = card.checkpoint is not None and path.suffix == Path(card.checkpoint.file).suffix
    differs = bool(stated) and alike and stated != sha256
    return (f"this differs from the sha256 that was published, {stated}",) if differs else ()


def _refuse_others(card: ModelCard, given: Image, images: str) -> None:
    """Complain of images that are not like those of the card's data set."""
    wanted = IMAGES.get(card.dataset, given)
    if given != wanted:
        has, takes = ("x".join(map(str, shape)) + f" in {classes} classes" for shape, classes in (given, wanted))
        found = f"they are {has}, but model '{card.id}' takes those of {card.dataset}, {takes}"
        raise UserError(found, where=images, fix="Give images of that size and those classes, or another model.")


def _entry(card: ModelCard) -> dict[str, str]:
    """Which of the networks in a file it is, where the card says so."""
    return {"key": card.checkpoint.key} if card.checkpoint and card.checkpoint.key else {}


def wrap(module: nn.Module, name: str, num_classes: int) -> LoadedModel:
    """The user's own module, which takes images in [0, 1] and gives logits; a copy, so theirs stays as it is.

    The fingerprint covers its parameters, buffers and every plain value it holds, its printed form, the source of
    its classes and functions as far as that is to be had. What cannot be read that way, such as an object of
    another library, makes the fingerprint one of a kind: its results are never taken for those of another model,
    and are computed again next time.

    Raises:
        UserError: the module cannot be copied.
    """
    try:
        own = copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"the module cannot be copied: {error}",
            where=name,
            fix="Keep only modules, parameters, buffers and plain values in it; detach tensors that have a history.",
        ) from None
    own = freeze(own.cpu())
    return LoadedModel(
        id=name, title=name, dataset="", num_classes=num_classes, module=own, fingerprint=_fingerprint(own)
    )


def _fingerprint(module: nn.Module) -> str:
    total = hashlib.sha256(repr(module).encode())
    for kind in sorted({type(part) for part in module.modules()}, key=str):
        total.update(f"{kind} {_source(kind)}".encode())
    for prefix, part in module.named_modules():
        own = {name: value for name, value in vars(part).items() if name not in _OF_TORCH}
        for name, value in sorted((own | part._parameters | part._buffers).items()):
            total.update(f"{prefix}.{name}".encode())
            for piece in _bytes(value):
                total.update(piece)
    return total.hexdigest()[:32]


# What torch itself keeps in a module; its modules, parameters and buffers are walked by name.
_OF_TORCH = vars(nn.Module()).keys()


def _bytes(value: object, depth: int = 0) -> Iterator[bytes]:
    """What a value is, as bytes; random ones where that cannot be told."""
    yield type(value).__qualname__.encode()
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value)) if value.dtype.kind in "biuf" else value.tolist()
    if isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | torch.device):
        yield repr(value).encode()
    elif isinstance(value, Mapping | list | tuple | set | frozenset) and depth < _DEEPEST:
        items = value.items() if isinstance(value, Mapping) else value
        for item in sorted(items, key=repr) if isinstance(value, set | frozenset) else items:
            yield from _bytes(item, depth + 1)
    elif isinstance(value, nn.Module) and depth < _DEEPEST:
        yield _fingerprint(value).encode()
    elif callable(value) and _source(value):
        yield _source(value).encode()
    elif isinstance(value, type) or inspect.isbuiltin(value):
        yield repr(value).split(" at 0x")[0].encode()
    else:
        yield os.urandom(16)


_DEEPEST = 8


def _source(thing: Any) -> str:
    """The source of a class or function that does not come with torch; nothing where there is none."""
    if str(getattr(thing, "__module__", "")).startswith("torch."):
        return ""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""
