"""What is in a file of weights, and which networks it is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.values.card import Checkpoint, Input, ModelCard, Network
from robeval.zoo import bundles, checkpoints
from robeval.zoo.archs import registry
from robeval.zoo.carried import core, input_layer
from robeval.zoo.formats import onnx as onnx_format
from robeval.zoo.layouts import misfits
from robeval.zoo.onnx import graph

Image = tuple[tuple[int, int, int], int]

# The images of data sets, as a network can be built without having any: channels, height and width; how many classes.
# Of several that a network fits, a card names the first.
IMAGES: dict[str, Image] = {
    "mnist": ((1, 28, 28), 10),
    "fashion_mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "svhn": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "tiny_imagenet": ((3, 64, 64), 200),
    "imagenet": ((3, 224, 224), 1000),
    "imagenet_64": ((3, 64, 64), 1000),
    "restricted_imagenet": ((3, 224, 224), 9),
    "restricted_imagenet_64": ((3, 64, 64), 9),
    "digits": ((1, 8, 8), 10),
    "mnist_1_3": ((1, 28, 28), 2),
    "mnist_5_7": ((1, 28, 28), 2),
    "digits_1_3": ((1, 8, 8), 2),
    "digits_5_7": ((1, 8, 8), 2),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """A network that the weights belong to, and whose images it takes.

    Attributes:
        datasets: the known data sets of such images; none if there are none with so many classes.
        image: channels, height and width of the images, and the number of classes.
    """

    network: Network
    datasets: tuple[str, ...]
    image: Image


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a file.

    Attributes:
        kind: how it was written.
        weights: by the names a network gives them.
        fits: every known network whose names and shapes are the same, with the sizes that those tell.
    """

    path: Path
    kind: str
    sha256: str
    weights: Mapping[str, Tensor]
    fits: tuple[Fit, ...]
    key: str = ""

    def card(self) -> ModelCard | None:
        """A card for the first network that fits a known data set.

        Title, source and, if not in the file, input are to be mended.
        """
        best = next((each for each in self.fits if each.datasets), None)
        if best is None:
            return None
        checkpoint = Checkpoint(self.path.name, self.sha256, key=self.key)
        images = input_layer(self.weights, self.path) or Input()
        return ModelCard(self.path.stem, self.path.stem, best.datasets[0], best.network, images, checkpoint)


def inspect(path: Path, key: str = "") -> Inspection:
    """Look into a file of weights; nothing in it is executed.

    Args:
        key: of the entry that holds the weights, if the file has several that might.

    Raises:
        UserError: there is no such file, or `checkpoints.read` refuses it.
    """
    path = bundles.index(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}", where="FILE", fix="Give the path of a file of weights.")
    weights, kind = checkpoints.unwrap(path, key).weights, checkpoints.kind(path)
    fits = [*_fits(weights), *(_whole(path) if kind == onnx_format.NAME else [])]
    return Inspection(path, kind, checkpoints.sha256(path), weights, tuple(fits), key)


def _fits(weights: Mapping[str, Tensor]) -> list[Fit]:
    shapes = {name: tuple(tensor.shape) for name, tensor in core(weights).items()}
    # The last layer's outputs are some matrix's rows; which one is last, the order of names does not tell.
    classes = {max(shape[0], 2) for shape in shapes.values() if len(shape) == 2} or {10}
    channels = min((shape[1] for shape in shapes.values() if len(shape) == 4), default=None)
    images = [image for image in dict.fromkeys(IMAGES.values()) if channels in (None, image[0][0])]
    known = [image for image in images if image[1] in classes]
    others = [(shape, count) for count in sorted(classes) for shape in dict.fromkeys(shape for shape, _ in images)]
    found = []
    for name in registry.catalog():
        for params in registry.settings(name, shapes):
            taken = [image for image in known if _takes(name, params, image, weights)]
            taken = taken or [image for image in others if _takes(name, params, image, weights)][:1]
            if taken:
                datasets = tuple(dataset for dataset, image in IMAGES.items() if image in taken)
                found.append(Fit(Network(name, dict(params)), datasets, taken[0]))
                break
    return found


def _takes(name: str, params: Mapping[str, Any], image: Image, weights: Mapping[str, Tensor]) -> bool:
    """Whether the weights are those of this network for these images; False if the images are too small for it."""
    try:
        with torch.device("meta"):  # shapes alone: nothing is computed, however large
            network = registry.build(name, params, *image, "")
    except (UserError, RuntimeError):
        return False
    return not misfits(weights, network)


def _whole(path: Path) -> list[Fit]:
    """The images that the network in the file takes."""
    found = []
    for shape in dict.fromkeys(shape for shape, _ in IMAGES.values()):
        try:
            _, classes = graph.load(path, shape)
        except UserError:
            continue  # it takes other images, or is of a kind that cannot be evaluated
        image = (shape, classes)
        found.append(Fit(Network(graph.ARCH), tuple(name for name in IMAGES if IMAGES[name] == image), image))
    return found
