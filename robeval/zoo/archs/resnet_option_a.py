"""The CIFAR ResNet with shortcuts that have no weights (He et al., 2016, arXiv:1512.03385, section 4.2)."""

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch, blocks


class Block(nn.Module):
    """Two 3x3 convolutions; a wider one's shortcut takes every second pixel and pads the channels with zeros."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, wider, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(wider)
        self.conv2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider)
        self.stride, self.padding = stride, (wider - width) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, width, h, w) to (n, wider, h / stride, w / stride)."""
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + shortcut)


class ResNet(nn.Module):
    """A 3x3 convolution, three layers of blocks with 16, 32 and 64 channels, averaging and a linear layer."""

    def __init__(self, channels: int, num_classes: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _layer(blocks, 16, 16, 1)
        self.layer2 = _layer(blocks, 16, 32, 2)
        self.layer3 = _layer(blocks, 32, 64, 2)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        features = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))


def _layer(blocks: int, width: int, wider: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(width, wider, stride), *(Block(wider, wider, 1) for _ in range(blocks - 1)))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    return [{"depth": 6 * blocks(shapes, "layer1.") + 2}]


@arch("resnet_option_a", _settings)
def resnet_option_a(shape: tuple[int, int, int], num_classes: int, *, depth: Count = 20) -> nn.Module:
    """ResNet-20 with the default: 269,722 parameters on CIFAR-10. `depth` is 6 n + 2 for n blocks per layer."""
    if depth < 8 or (depth - 2) % 6:
        raise UserError(
            f"resnet_option_a cannot have depth {depth}: it has to be 6 n + 2",
            where="[network]",
            fix="Set 'depth' to 8, 14, 20, 32, 44, 56, 110 or so on.",
        )
    return ResNet(shape[0], num_classes, (depth - 2) // 6)
