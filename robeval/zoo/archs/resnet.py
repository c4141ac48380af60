"""ResNet-18, -34 and -50 for small images (He et al., 2016, arXiv:1512.03385), as TRADES and RobustBench use them.

The stem is one 3x3 convolution without pooling, so 32x32 images keep their size in the first layer.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.zoo.archs.registry import Shapes, arch, blocks


class Basic(nn.Module):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, width, h / stride, w / stride)."""
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.shortcut = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, 4 width, h / stride, w / stride)."""
        branch = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(branch)) + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """A 3x3 convolution, four layers of blocks with 64 to 512 channels, averaging and a linear layer."""

    def __init__(
        self, channels: int, num_classes: int, block: type[Basic] | type[Bottleneck], blocks: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(block, blocks[0], 64, 64, 1)
        self.layer2 = _layer(block, blocks[1], 64 * block.expansion, 128, 2)
        self.layer3 = _layer(block, blocks[2], 128 * block.expansion, 256, 2)
        self.layer4 = _layer(block, blocks[3], 256 * block.expansion, 512, 2)
        self.linear = nn.Linear(512 * block.expansion, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _layer(block: type[Basic] | type[Bottleneck], count: int, inputs: int, width: int, stride: int) -> nn.Sequential:
    rest = (block(width * block.expansion, width, 1) for _ in range(count - 1))
    return nn.Sequential(block(inputs, width, stride), *rest)


_DEPTHS: dict[int, tuple[type[Basic] | type[Bottleneck], tuple[int, ...]]] = {
    18: (Basic, (2, 2, 2, 2)),
    34: (Basic, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    kind = Bottleneck if "layer1.0.conv3.weight" in shapes else Basic
    counts = tuple(blocks(shapes, f"layer{i}.") for i in (1, 2, 3, 4))
    return [{"depth": depth} for depth, known in _DEPTHS.items() if known == (kind, counts)]


@arch("resnet", _settings)
def resnet(shape: tuple[int, int, int], num_classes: int, *, depth: Literal[18, 34, 50] = 18) -> nn.Module:
    """ResNet-18 with the default: 11,173,962 parameters on CIFAR-10."""
    block, blocks = _DEPTHS[depth]
    return ResNet(shape[0], num_classes, block, blocks)
