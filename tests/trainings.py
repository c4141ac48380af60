"""What tests of the training loop share: a small recipe, a small network, and the training of both."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from robeval.datasets.registry import Samples
from robeval.train.log import Epoch
from robeval.train.loop import train
from robeval.values.card import ModelCard, Network, Published

CPU = torch.device("cpu")
RECIPE: dict[str, Any] = {
    "method": "trades",
    "steps": 2,
    "step_size": 0.05,
    "norm": "linf",
    "eps": "1/10",
    "epochs": 3,
    "batch_size": 40,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "threads": 1,
}
NETWORK = Network("small_cnn", {"width": 2, "hidden": 8, "padding": 1})
PUBLISHED = (Published("natural", 99.0, "a paper"),)
CARD = ModelCard("small", "Small", "digits", NETWORK, training=RECIPE, published=PUBLISHED, where="small.toml")
STILL = replace(CARD, network=replace(NETWORK, params={**NETWORK.params, "drop": 0.0}))  # without chance


def unheard(epoch: Epoch) -> None:
    """Listens to no epoch."""


def trained(
    some: Samples, out: Path, listen: Callable[[Epoch], None] = unheard, card: ModelCard = CARD, **changes: Any
) -> Path:
    """The path of the card that the recipe, with changes, makes of some samples."""
    return train(replace(card, training=RECIPE | changes), some, out, CPU, listen)
