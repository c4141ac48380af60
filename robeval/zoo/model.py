"""A model that is ready to be asked."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.card import Input


class Standardise(nn.Module):
    """Subtracts a mean from each channel and divides it by a standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))  # (c, 1, 1)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images in [0, 1] to what the network was trained on, both (n, c, h, w)."""
        return (x - self.mean) / self.std


class PerImage(nn.Module):
    """Gives each image mean 0 and standard deviation 1 over all its values, as TensorFlow's standardisation does.

    On the scale [0, 255], where the standard deviation is at least 1 / sqrt(number of values). It is part of the
    model, so gradients flow through mean and deviation.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Images in [0, 1] to what the network was trained on, both (n, c, h, w)."""
        flat = 255 * x.flatten(1)
        centred = flat - flat.mean(dim=1, keepdim=True)
        # A constant image has deviation 0, where the root has no slope: the floor goes under the root.
        variance = centred.square().mean(dim=1, keepdim=True)
        return (centred / variance.clamp_min(1 / flat.shape[1]).sqrt()).view_as(x)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network with its weights.

    Attributes:
        module: images in [0, 1], float32 (n, c, h, w), to logits (n, k); the input layer is part of it. In
            evaluation mode, without gradients for its parameters.
        fingerprint: digest of all that computes its logits.
        notes: what a reader should know about how it was loaded.
    """

    id: str
    title: str
    dataset: str
    num_classes: int
    module: nn.Module
    fingerprint: str
    notes: tuple[str, ...] = ()


def with_input(network: nn.Module, wanted: Input, channels: int, where: str) -> nn.Module:
    """The network behind the input layer that its card asks for.

    Raises:
        UserError: the layer is for another number of channels.
    """
    if wanted.normalise == "none":
        return network
    if wanted.normalise == "per_image":
        return nn.Sequential(OrderedDict(input=PerImage(), network=network))
    if len(wanted.mean) != channels:
        found = f"'mean' has {len(wanted.mean)} numbers, but the images have {channels} channels"
        raise UserError(found, where=f"{where}: [input]", fix="Give one number per channel in 'mean' and 'std'.")
    return nn.Sequential(OrderedDict(input=Standardise(wanted.mean, wanted.std), network=network))


def freeze(module: nn.Module) -> nn.Module:
    """The same module, in evaluation mode and without gradients for its parameters."""
    return module.eval().requires_grad_(False)
