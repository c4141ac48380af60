"""The MNIST network of AdverTorch (Ding et al., 2019, arXiv:1902.07623), there called LeNet5."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch


class LeNet5(nn.Module):
    """Two 3x3 convolutions, each followed by 2x2 max-pooling, and two linear layers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        with torch.no_grad():
            features = self._features(torch.zeros(1, *shape)).shape[1]
        self.linear1 = nn.Linear(features, hidden)
        self.linear2 = nn.Linear(hidden, num_classes)

    def _features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        return self.linear2(F.relu(self.linear1(self._features(x))))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    return [{"width": shapes["conv1.weight"][0], "hidden": shapes["linear1.weight"][0]}]


@arch("lenet5", _settings)
def lenet5(shape: tuple[int, int, int], num_classes: int, *, width: Count = 32, hidden: Count = 200) -> nn.Module:
    """As released with the defaults: 648,226 parameters on 28x28 grey images."""
    return LeNet5(shape, num_classes, width, hidden)
