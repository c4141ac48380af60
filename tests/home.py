"""A user's folder, as ROBEVAL_HOME names it: a small suite, two cards, and networks trained for a second."""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from robeval.datasets import registry as datasets
from robeval.zoo.archs.registry import build

PARAMS = {"width": 4, "hidden": 16, "padding": 1, "drop": 0.0}

SUITE = """
title = "Digits in a hurry"
dataset = "digits"
slice_size = 20

[threat]
norm = "linf"
eps = 0.1

[[attack]]
use = "clean"

[[attack]]
use = "fgsm"

[[attack]]
id = "pgd3"
use = "pgd"
steps = 3
step_size = 0.05
"""
CELLS = 6  # of `tiny`, with a limit of 40

CARD = """
title = "A small network"
dataset = "digits"

[network]
arch = "small_cnn"
width = 4
hidden = 16
padding = 1
drop = 0.0

[checkpoint]
file = "{name}.safetensors"
"""


def network() -> nn.Module:
    """The network of the cards, not trained."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return build("small_cnn", PARAMS, (1, 8, 8), 10, "test")


@cache
def _weights(epochs: int) -> dict[str, Tensor]:
    x, y = datasets.load("digits", "train").slice(0, 1195)
    net = network()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(y), generator=order).split(64):
            optimiser.zero_grad()
            cross_entropy(net(x[rows]), y[rows]).backward()
            optimiser.step()
    return net.state_dict()


def trained(epochs: int = 6) -> nn.Module:
    """A network that knows most digits; a fresh one each time."""
    net = network()
    net.load_state_dict(_weights(epochs))
    return net.eval()


def furnish(folder: Path) -> Path:
    """Fill the folder: the suite `tiny`, and the models `small` and, trained less, `other`."""
    for name in ("suites", "zoo/cards", "zoo/checkpoints"):
        (folder / name).mkdir(parents=True)
    (folder / "suites" / "tiny.toml").write_text(SUITE)
    for name, epochs in (("small", 6), ("other", 2)):
        (folder / "zoo" / "cards" / f"{name}.toml").write_text(CARD.format(name=name))
        save_file(trained(epochs).state_dict(), folder / "zoo" / "checkpoints" / f"{name}.safetensors")
    return folder
