"""A network and its card -> safetensors and a card that names them."""

import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save
from torch import nn

from robeval.errors import UserError
from robeval.values.card import Checkpoint, ModelCard
from robeval.whole import write_whole
from robeval.zoo import cards
from robeval.zoo.assemble import assemble
from robeval.zoo.inspect import IMAGES
from robeval.zoo.onnx import graph


def save_model(card: ModelCard, network: nn.Module, out: Path) -> Path:
    """Write `<out>/checkpoints/<id>.safetensors` and `<out>/cards/<id>.toml`; the card's path.

    Each is whole or absent; the weights come first, so that the card never names what is not there.
    """
    content = save({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()})
    return _write(card, f"{card.id}.safetensors", content, out)


def convert(source: Path, card: ModelCard, out: Path) -> Path:
    """The weights in a file that can be read, written again as safetensors with the card; the new card's path.

    A file that is a whole network stays as it is: safetensors hold weights alone.

    Raises:
        UserError: the file is refused, or its weights or its input layer are not those of the card.
    """
    if card.dataset not in IMAGES:
        found = f"the size of images of '{card.dataset}' is not known here"
        raise UserError(found, where=card.where, fix=f"Known: {', '.join(IMAGES)}.")
    network, _ = assemble(card, *IMAGES[card.dataset], source)
    if card.network.arch == graph.ARCH:
        return _write(card, f"{card.id}.onnx", source.read_bytes(), out)
    return save_model(card, network, out)


def _write(card: ModelCard, file: str, content: bytes, out: Path) -> Path:
    write_whole(out / "checkpoints" / file, content)
    source = card.checkpoint.source if card.checkpoint else ""
    checkpoint = Checkpoint(file, hashlib.sha256(content).hexdigest(), source)
    path = out / "cards" / f"{card.id}.toml"
    cards.write(replace(card, checkpoint=checkpoint, where=str(path)), path)
    return path
