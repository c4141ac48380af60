"""A card and a file of weights -> a network."""

from pathlib import Path

import torch
from torch import nn

from robeval.errors import UserError
from robeval.values.card import ModelCard
from robeval.zoo import checkpoints
from robeval.zoo.archs.registry import build
from robeval.zoo.carried import check_input
from robeval.zoo.layouts import fit
from robeval.zoo.onnx import graph


def assemble(
    card: ModelCard, shape: tuple[int, int, int], num_classes: int, path: Path
) -> tuple[nn.Module, tuple[str, ...]]:
    """The card's network with the weights of a file, without its input layer; and notes on how they were fitted.

    Args:
        shape: channels, height and width of the images.

    Raises:
        UserError: the card's network does not fit the images, or the file is unreadable or another network's.
    """
    where = card.where or f"card '{card.id}'"
    if card.network.arch != graph.ARCH:
        with torch.random.fork_rng(devices=()):  # what the weights are before the file's replace them is nobody's draw
            network = build(card.network.arch, card.network.params, shape, num_classes, where)
        weights, chosen = checkpoints.unwrap(path, card.checkpoint.key if card.checkpoint else "")
        notes = chosen + fit(weights, network, path)
        check_input(weights, card.input, path, where)
        return network, notes
    if card.network.params:
        found = f"'{graph.ARCH}' takes no '{next(iter(card.network.params))}': the file is the whole network"
        raise UserError(found, where=f"{where}: [network]", fix="Take the key out.")
    checkpoints.refuse_strangers(path)
    whole, logits = graph.load(path, shape)
    if logits != num_classes:
        found = f"the network gives {logits} logits, but the data set has {num_classes} classes"
        raise UserError(
            found, where=path, fix="Mend 'dataset' in the model's card, or give the file that belongs to it."
        )
    return whole, ()
