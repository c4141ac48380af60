"""The MNIST network of AutoAttack's TensorFlow example (Croce & Hein, 2020, arXiv:2003.01690).

Trained in Keras with images as (h, w, c), whose order its features have where they are flattened.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch


class KerasCNN(nn.Module):
    """Two pairs of 3x3 convolutions, each followed by 2x2 max-pooling, and two dense layers; named as in Keras."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int, hidden: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(shape[0], width, 3, padding=1)
        self.c2 = nn.Conv2d(width, width, 3, padding=1)
        self.c3 = nn.Conv2d(width, width, 3, padding=1)
        self.c4 = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            features = self._features(torch.zeros(1, *shape)).shape[1]
        self.d1 = nn.Linear(features, hidden)
        self.d2 = nn.Linear(hidden, num_classes)

    def _features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.c2(F.relu(self.c1(x)))), 2)
        x = F.max_pool2d(F.relu(self.c4(F.relu(self.c3(x)))), 2)
        return x.permute(0, 2, 3, 1).flatten(1)  # (n, h * w * c)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        return self.d2(F.relu(self.d1(self._features(x))))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    return [{"width": shapes["c1.weight"][0], "hidden": shapes["d1.weight"][0]}]


@arch("keras_cnn", _settings)
def keras_cnn(shape: tuple[int, int, int], num_classes: int, *, width: Count = 16, hidden: Count = 256) -> nn.Module:
    """As released with the defaults: 210,650 parameters on 28x28 grey images."""
    return KerasCNN(shape, num_classes, width, hidden)
