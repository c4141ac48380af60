"""PreActResNet-18 for small images (He et al., 2016, arXiv:1603.05027), in the two forms of released robust models.

Fast adversarial training (Wong et al., 2020, arXiv:2001.03994) and most of its kind leave out the last
normalisation and start a block's shortcut before the block's first one; Rice et al. (2020, arXiv:2002.11569) have
the last one and start shortcuts after the first. Files of both have the same names but for that last layer.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.zoo.archs.registry import Shapes, arch

Start = Literal["input", "activation"]


class Block(nn.Module):
    """Normalise, ReLU, 3x3 convolution, twice; a 1x1 convolution is the shortcut where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int, shortcut_from: Start) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut_from = shortcut_from
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, width, h / stride, w / stride)."""
        active = F.relu(self.bn1(x))
        branch = self.conv2(F.relu(self.bn2(self.conv1(active))))
        if self.shortcut is None:
            return branch + x
        return branch + self.shortcut(x if self.shortcut_from == "input" else active)


class PreActResNet(nn.Module):
    """A 3x3 convolution, four layers of two blocks with 64 to 512 channels, averaging and a linear layer."""

    def __init__(self, channels: int, num_classes: int, final_norm: bool, shortcut_from: Start) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.layer1 = _layer(64, 64, 1, shortcut_from)
        self.layer2 = _layer(64, 128, 2, shortcut_from)
        self.layer3 = _layer(128, 256, 2, shortcut_from)
        self.layer4 = _layer(256, 512, 2, shortcut_from)
        self.bn = nn.BatchNorm2d(512) if final_norm else None
        self.linear = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        if self.bn is not None:
            x = F.relu(self.bn(x))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _layer(inputs: int, width: int, stride: int, shortcut_from: Start) -> nn.Sequential:
    return nn.Sequential(Block(inputs, width, stride, shortcut_from), Block(width, width, 1, shortcut_from))


def _settings(shapes: Shapes) -> list[dict[str, object]]:
    """Where shortcuts start, no shape tells; both known forms have it with or without the last normalisation."""
    return [{"final_norm": True, "shortcut_from": "activation"} if "bn.weight" in shapes else {"final_norm": False}]


@arch("preact_resnet", _settings)
def preact_resnet(
    shape: tuple[int, int, int], num_classes: int, *, final_norm: bool = False, shortcut_from: Start = "input"
) -> nn.Module:
    """Wong et al.'s PreActResNet-18 with the defaults: 11,171,146 parameters on CIFAR-10.

    Rice et al.'s has `final_norm = true` and `shortcut_from = "activation"`.
    """
    return PreActResNet(shape[0], num_classes, final_norm, shortcut_from)
