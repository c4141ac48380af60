"""What is in a file of weights, and which networks it is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.card import Checkpoint, Input, ModelCard, Network
from robeval.zoo import bundles, checkpoints
from robeval.zoo.archs import registry
from robeval.zoo.carried import input_layer
from robeval.zoo.formats import onnx as onnx_format
from robeval.zoo.layouts import misfits, same_names
from robeval.zoo.onnx import graph

# The images of data sets, as a network can be built without having any: channels, height and width; how many classes.
IMAGES = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "digits": ((1, 8, 8), 10),
    "fashion_mnist": ((1, 28, 28), 10),
    "imagenet": ((3, 224, 224), 1000),
    "mnist": ((1, 28, 28), 10),
    "restricted_imagenet": ((3, 224, 224), 9),
    "restricted_imagenet_64": ((3, 64, 64), 9),
    "svhn": ((3, 32, 32), 10),
    "tiny_imagenet": ((3, 64, 64), 200),
}
# What networks are tried with, by the data set a card would name; all have ten classes.
SHAPES = {name: IMAGES[name][0] for name in ("mnist", "cifar10", "digits")}
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Fit:
    """A network that the weights belong to, and the data set whose images it takes."""

    network: Network
    dataset: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a file.

    Attributes:
        kind: how it was written.
        weights: by the names a network gives them.
        fits: every known network whose names and shapes are the same.
    """

    path: Path
    kind: str
    sha256: str
    weights: Mapping[str, Tensor]
    fits: tuple[Fit, ...]

    def card(self) -> ModelCard | None:
        """A card for the first network that fits; title, source and, if not in the file, input are to be mended."""
        if not self.fits:
            return None
        best = self.fits[0]
        checkpoint = Checkpoint(self.path.name, self.sha256)
        images = input_layer(self.weights) or Input()
        return ModelCard(self.path.stem, self.path.stem, best.dataset, best.network, images, checkpoint)


def inspect(path: Path) -> Inspection:
    """Look into a file of weights; nothing in it is executed.

    Raises:
        UserError: there is no such file, or `checkpoints.read` refuses it.
    """
    path = bundles.index(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}", where="FILE", fix="Give the path of a file of weights.")
    weights, kind = checkpoints.read(path), checkpoints.kind(path)
    fits = [*_fits(weights), *(_whole(path) if kind == onnx_format.NAME else [])]
    return Inspection(path, kind, checkpoints.sha256(path), weights, tuple(fits))


def _fits(weights: Mapping[str, Tensor]) -> list[Fit]:
    # The last layer's outputs are some matrix's rows; which one is last, the order of names does not tell.
    outputs = sorted({len(tensor) for tensor in weights.values() if tensor.ndim == 2}) or [CLASSES]
    channels = min((tensor.shape[1] for tensor in weights.values() if tensor.ndim == 4), default=None)
    shapes = {dataset: shape for dataset, shape in SHAPES.items() if channels in (None, shape[0])}
    found = []
    for place, (name, params) in enumerate(registry.variants()):
        for (dataset, shape), classes in product(shapes.items(), outputs):
            network = _skeleton(place, shape, classes)
            if network is None:
                continue
            if not same_names(weights, network):
                break  # and neither would it be with other shapes
            if not misfits(weights, network):
                found.append(Fit(Network(name, dict(params)), dataset))
    return found


@lru_cache(maxsize=256)
def _skeleton(place: int, shape: tuple[int, int, int], classes: int) -> nn.Module | None:
    """A known network without numbers; None if images of this size are too small for it."""
    name, params = registry.variants()[place]
    try:
        with torch.device("meta"):  # shapes alone: nothing is computed, however large
            return registry.build(name, params, shape, classes, "")
    except (UserError, RuntimeError):
        return None


def _whole(path: Path) -> list[Fit]:
    """The data sets whose images the network in the file takes."""
    found = []
    for dataset, shape in SHAPES.items():
        try:
            graph.load(path, shape)
        except UserError:
            continue  # it takes other images, or is of a kind that cannot be evaluated
        found.append(Fit(Network(graph.ARCH), dataset))
    return found
