"""ResNet2b, the small residual network without normalisation of the alpha-beta-CROWN and VNN-COMP benchmarks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch


class Block(nn.Module):
    """Two 3x3 convolutions; a 1x1 convolution is the shortcut where the shape changes."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, wider, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(wider, wider, 3, padding=1)
        changes = stride != 1 or width != wider
        self.shortcut = nn.Sequential(*([nn.Conv2d(width, wider, 1, stride=stride)] if changes else []))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, width, h, w) to (n, wider, h / stride, w / stride)."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class ResNet2b(nn.Module):
    """A strided 3x3 convolution, two blocks, and two linear layers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, width: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], width, 3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1))
        with torch.no_grad():
            features = self.layer1(self.conv1(torch.zeros(1, *shape))).numel()
        self.linear1 = nn.Linear(features, hidden)
        self.linear2 = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        features = self.layer1(F.relu(self.conv1(x))).flatten(1)
        return self.linear2(F.relu(self.linear1(features)))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    return [{"width": shapes["conv1.weight"][0], "hidden": shapes["linear1.weight"][0]}]


@arch("resnet2b", _settings)
def resnet2b(shape: tuple[int, int, int], num_classes: int, *, width: Count = 8, hidden: Count = 100) -> nn.Module:
    """As released with the defaults: 112,006 parameters on CIFAR-10."""
    return ResNet2b(shape, num_classes, width, hidden)
