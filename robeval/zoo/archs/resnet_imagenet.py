"""ResNet-50, -101 and -152 as for ImageNet (He et al., 2016, arXiv:1512.03385), named as torchvision names them.

The robustness library and Restricted ImageNet use them, and A Closer Look at Accuracy vs. Robustness (Yang et al.,
2020, arXiv:2003.02460) with dropout. A strided block has its stride in the 3x3 convolution.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Share
from robeval.zoo.archs.registry import Shapes, arch, blocks

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions, each normalised; dropout before the last."""

    def __init__(self, inputs: int, width: int, stride: int, drop_rate: float, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(drop_rate)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if first:
            shortcut = nn.Conv2d(inputs, 4 * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, 4 width, h / stride, w / stride)."""
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.drop(F.relu(self.bn2(self.conv2(branch))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(branch)) + shortcut)


class ResNet(nn.Module):
    """A strided 7x7 convolution, pooling, four layers of blocks with 256 to 2048 channels, averaging, linear."""

    def __init__(self, channels: int, num_classes: int, blocks: tuple[int, ...], drop_rate: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(blocks[0], 64, 64, 1, drop_rate)
        self.layer2 = _layer(blocks[1], 256, 128, 2, drop_rate)
        self.layer3 = _layer(blocks[2], 512, 256, 2, drop_rate)
        self.layer4 = _layer(blocks[3], 1024, 512, 2, drop_rate)
        self.fc = nn.Linear(2048, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _layer(count: int, inputs: int, width: int, stride: int, drop_rate: float) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride, 0.0, first=True)  # as released: dropout in all blocks but the first
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1, drop_rate, first=False) for _ in range(count - 1)))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    counts = tuple(blocks(shapes, f"layer{i}.") for i in (1, 2, 3, 4))
    return [{"depth": depth} for depth, known in BLOCKS.items() if known == counts]


@arch("resnet_imagenet", _settings)
def resnet_imagenet(
    shape: tuple[int, int, int], num_classes: int, *, depth: Literal[50, 101, 152] = 50, drop_rate: Share = 0.0
) -> nn.Module:
    """ResNet-50 with the defaults: 25,557,032 parameters with 1000 classes, 23,526,473 with 9.

    `drop_rate` (0.2 or 0.5) is that of Yang et al. on Restricted ImageNet; it adds no weights.
    """
    return ResNet(shape[0], num_classes, BLOCKS[depth], drop_rate)
