"""A network and its card -> safetensors and a card that names them."""

import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save
from torch import nn

from robeval.errors import UserError
from robeval.values.card import Checkpoint, ModelCard
from robeval.whole import write_whole
from robeval.zoo import cards, checkpoints
from robeval.zoo.archs.registry import build
from robeval.zoo.inspect import CLASSES, SHAPES
from robeval.zoo.layouts import fit


def save_model(card: ModelCard, network: nn.Module, out: Path) -> Path:
    """Write `<out>/checkpoints/<id>.safetensors` and `<out>/cards/<id>.toml`; the card's path.

    Each is whole or absent; the weights come first, so that the card never names what is not there.
    """
    content = save({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()})
    file = f"{card.id}.safetensors"
    write_whole(out / "checkpoints" / file, content)
    checkpoint = Checkpoint(
        file, hashlib.sha256(content).hexdigest(), card.checkpoint.source if card.checkpoint else ""
    )
    path = out / "cards" / f"{card.id}.toml"
    cards.write(replace(card, checkpoint=checkpoint, where=str(path)), path)
    return path


def convert(source: Path, card: ModelCard, out: Path) -> Path:
    """The weights in a file that can be read, written again as safetensors with the card; the new card's path.

    Raises:
        UserError: the file is refused, or its weights are not of the card's network.
    """
    if card.dataset not in SHAPES:
        found = f"the size of images of '{card.dataset}' is not known here"
        raise UserError(found, where=card.where, fix=f"Known: {', '.join(SHAPES)}.")
    weights = checkpoints.read(source)
    network = build(card.network.arch, card.network.params, SHAPES[card.dataset], CLASSES, card.where)
    fit(weights, network, source)
    return save_model(card, network, out)
