"""The optimiser, and the learning rate as training goes on."""

import math

import torch
from torch import nn

from robeval.train.recipe import Settings


def rate(settings: Settings, done: float) -> float:
    """The learning rate of the batch before which `done` epochs have been learnt from; parts of one count too."""
    warmup, highest = settings.warmup_epochs, settings.learning_rate
    if done < warmup:
        return highest * done / warmup
    share = (done - warmup) / (settings.epochs - warmup)
    if settings.schedule == "cosine":
        return highest * (1 + math.cos(math.pi * share)) / 2
    if settings.schedule == "linear":
        return highest * (1 - share)
    decays = sum(done + 1 >= start for start in settings.decay_epochs)
    return highest * settings.decay_factor**decays


def optimiser(settings: Settings, net: nn.Module) -> torch.optim.Optimizer:
    """Torch's own, over all weights of the network."""
    decay = settings.weight_decay
    groups = [{"params": list(net.parameters()), "weight_decay": decay}]
    if settings.decay_on == "kernels":
        kernels = [weight for weight in net.parameters() if weight.ndim > 1]
        others = [weight for weight in net.parameters() if weight.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=settings.learning_rate)
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)


def set_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """The learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = value
