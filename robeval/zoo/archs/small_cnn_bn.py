"""The MNIST network of Carlini & Wagner (2017, arXiv:1608.04644, Table I) with batch normalisation (AttackBox)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch


class SmallCNNBN(nn.Module):
    """Two pairs of normalised 3x3 convolutions, each followed by 2x2 max-pooling, and three linear layers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int, hidden: int, padding: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_unit(shape[0], width, padding),
            *_unit(width, width, padding),
            nn.MaxPool2d(2),
            *_unit(width, 2 * width, padding),
            *_unit(2 * width, 2 * width, padding),
            nn.MaxPool2d(2),
        )
        training = self.features.training
        with torch.no_grad():
            features = self.features.eval()(torch.zeros(1, *shape)).numel()
        self.features.train(training)
        self.fc1 = nn.Linear(features, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        hidden = F.relu(self.fc1(self.features(x).flatten(1)))
        hidden = F.relu(self.fc2(F.dropout(hidden, 0.5, self.training)))
        return self.fc3(hidden)


def _unit(channels: int, width: int, padding: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 3, padding=padding), nn.BatchNorm2d(width), nn.ReLU()


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    width, hidden = shapes["features.0.weight"][0], shapes["fc1.weight"][0]
    return [{"width": width, "hidden": hidden, "padding": padding} for padding in (0, 1)]


@arch("small_cnn_bn", _settings)
def small_cnn_bn(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    width: Count = 32,
    hidden: Count = 200,
    padding: Literal[0, 1] = 0,
) -> nn.Module:
    """As released with the defaults: 312,586 parameters on 28x28 grey images; smaller images want `padding = 1`."""
    return SmallCNNBN(shape, num_classes, width, hidden, padding)
