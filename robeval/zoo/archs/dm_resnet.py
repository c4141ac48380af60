"""The networks that DeepMind released (Gowal et al., 2020, arXiv:2010.03593; Rebuffi et al., 2021, arXiv:2103.01946).

A WideResNet and a PreActResNet-18 with names of their own. They were written in JAX, so strided 3x3 convolutions pad
only below and right; activations are swish, x * sigmoid(x). Rade & Moosavi-Dezfooli (2021) and Wang et al. (2023,
arXiv:2302.04638) train the same networks. Their images are standardised, which is the card's `[input]`.
"""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch, blocks
from robeval.zoo.archs.same import Same

Name = Literal["swish", "relu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"swish": F.silu, "relu": F.relu}


class WideBlock(nn.Module):
    """Normalise, activate, convolve, twice. A wider block's 1x1 shortcut starts after its first activation."""

    def __init__(self, inputs: int, width: int, stride: int, activation: Name) -> None:
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_0 = Same(inputs, width, stride)
        self.batchnorm_1 = nn.BatchNorm2d(width)
        self.conv_1 = Same(width, width, 1)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride=stride, bias=False) if inputs != width else None
        self.activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, width, h / stride, w / stride)."""
        active = self.activate(self.batchnorm_0(x))
        branch = self.conv_1(self.activate(self.batchnorm_1(self.conv_0(active))))
        return branch + (x if self.shortcut is None else self.shortcut(active))


class Group(nn.Module):
    """Blocks of one width, in `block`, as the released files name them; the first one has the stride."""

    def __init__(self, blocks: int, inputs: int, width: int, stride: int, activation: Name) -> None:
        super().__init__()
        rest = (WideBlock(width, width, 1, activation) for _ in range(blocks - 1))
        self.block = nn.Sequential(WideBlock(inputs, width, stride, activation), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Through all blocks."""
        return self.block(x)


class WideResNet(nn.Module):
    """A 3x3 convolution, three groups of blocks, averaging and a linear layer."""

    def __init__(self, channels: int, num_classes: int, blocks: int, widen_factor: int, activation: Name) -> None:
        super().__init__()
        widths = (16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor)
        self.init_conv = Same(channels, 16, 1)
        self.layer = nn.Sequential(
            *(Group(blocks, widths[i], widths[i + 1], min(i, 1) + 1, activation) for i in range(3))
        )
        self.batchnorm = nn.BatchNorm2d(widths[3])
        self.logits = nn.Linear(widths[3], num_classes)
        self.activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        features = self.activate(self.batchnorm(self.layer(self.init_conv(x))))
        return self.logits(features.mean(dim=(2, 3)))


class Block(nn.Module):
    """Normalise, activate, convolve, twice. A 3x3 convolution of the block's input is the shortcut of a wider one."""

    def __init__(self, inputs: int, width: int, stride: int, activation: Name) -> None:
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_2d_1 = Same(inputs, width, stride)
        self.batchnorm_1 = nn.BatchNorm2d(width)
        self.conv_2d_2 = Same(width, width, 1)
        self.shortcut = Same(inputs, width, stride) if stride != 1 or inputs != width else None
        self.activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, width, h / stride, w / stride)."""
        branch = self.conv_2d_1(self.activate(self.batchnorm_0(x)))
        branch = self.conv_2d_2(self.activate(self.batchnorm_1(branch)))
        return branch + (x if self.shortcut is None else self.shortcut(x))


class PreActResNet(nn.Module):
    """A 3x3 convolution, four layers of two blocks with 64 to 512 channels, averaging and a linear layer."""

    def __init__(self, channels: int, num_classes: int, activation: Name) -> None:
        super().__init__()
        self.conv_2d = Same(channels, 64, 1)
        self.layer_0 = nn.Sequential(Block(64, 64, 1, activation), Block(64, 64, 1, activation))
        self.layer_1 = nn.Sequential(Block(64, 128, 2, activation), Block(128, 128, 1, activation))
        self.layer_2 = nn.Sequential(Block(128, 256, 2, activation), Block(256, 256, 1, activation))
        self.layer_3 = nn.Sequential(Block(256, 512, 2, activation), Block(512, 512, 1, activation))
        self.batchnorm = nn.BatchNorm2d(512)
        self.logits = nn.Linear(512, num_classes)
        self.activate = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        features = self.layer_3(self.layer_2(self.layer_1(self.layer_0(self.conv_2d(x)))))
        return self.logits(self.activate(self.batchnorm(features)).mean(dim=(2, 3)))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    width = shapes["layer.0.block.0.conv_0.weight"][0]
    return [{"depth": 6 * blocks(shapes, "layer.0.block.") + 4, "widen_factor": width // 16}]


@arch("dm_wide_resnet", _settings)
def dm_wide_resnet(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: Count = 28,
    widen_factor: Count = 10,
    activation: Name = "swish",
) -> nn.Module:
    """WRN-28-10 with the defaults: 36,479,194 parameters on CIFAR-10. `depth` is 6 n + 4 for n blocks per group."""
    if depth < 10 or (depth - 4) % 6:
        raise UserError(
            f"dm_wide_resnet cannot have depth {depth}: it has to be 6 n + 4",
            where="[network]",
            fix="Set 'depth' to 10, 16, 22, 28, 34, 40 or so on.",
        )
    return WideResNet(shape[0], num_classes, (depth - 4) // 6, widen_factor, activation)


@arch("dm_preact_resnet")
def dm_preact_resnet(shape: tuple[int, int, int], num_classes: int, *, activation: Name = "swish") -> nn.Module:
    """PreActResNet-18: 12,548,426 parameters on CIFAR-10."""
    return PreActResNet(shape[0], num_classes, activation)
