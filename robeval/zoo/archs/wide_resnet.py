"""Wide residual networks as TRADES builds them (Zagoruyko and Komodakis, 2016, arXiv:1605.07146)."""

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.parameters import Count, Share
from robeval.zoo.archs.registry import Shapes, arch, blocks


class Block(nn.Module):
    """Pre-activation: normalise, ReLU, 3x3 convolution, twice. Wider blocks share the first ReLU with the shortcut."""

    def __init__(self, width: int, wider: int, stride: int, drop_rate: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, wider, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider)
        self.drop = nn.Dropout(drop_rate)
        self.conv2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.convShortcut = None if width == wider else nn.Conv2d(width, wider, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, width, h, w) to (n, wider, h / stride, w / stride)."""
        active = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        branch = F.relu(self.bn2(self.conv1(active)))
        return shortcut + self.conv2(self.drop(branch))


class Group(nn.Module):
    """Blocks of one width, in `layer`, as the released files name them; the first one has the stride."""

    def __init__(self, blocks: int, width: int, wider: int, stride: int, drop_rate: float) -> None:
        super().__init__()
        first = Block(width, wider, stride, drop_rate)
        self.layer = nn.Sequential(first, *(Block(wider, wider, 1, drop_rate) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Features to features."""
        return self.layer(x)


class WideResNet(nn.Module):
    """A 3x3 convolution, three groups of blocks, global average pooling and a linear layer."""

    def __init__(self, channels: int, num_classes: int, blocks: int, widen_factor: int, drop_rate: float) -> None:
        super().__init__()
        widths = [16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = Group(blocks, 16, widths[0], 1, drop_rate)
        self.block2 = Group(blocks, widths[0], widths[1], 2, drop_rate)
        self.block3 = Group(blocks, widths[1], widths[2], 2, drop_rate)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.fc = nn.Linear(widths[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        features = self.block3(self.block2(self.block1(self.conv1(x))))
        pooled = F.adaptive_avg_pool2d(F.relu(self.bn1(features)), 1)
        return self.fc(pooled.flatten(1))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    width = shapes["block1.layer.0.conv1.weight"][0]
    return [{"depth": 6 * blocks(shapes, "block1.layer.") + 4, "widen_factor": width // 16}]


@arch("wide_resnet", _settings)
def wide_resnet(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: Count = 34,
    widen_factor: Count = 10,
    drop_rate: Share = 0.0,
) -> nn.Module:
    """TRADES' WideResNet with the defaults, WRN-34-10: 46,160,474 parameters on CIFAR-10.

    `depth` is 6 n + 4 for n blocks per group. Images of 32x32 end as 8x8 features, which are averaged.
    """
    if depth < 10 or (depth - 4) % 6:
        raise UserError(
            f"wide_resnet cannot have depth {depth}: it has to be 6 n + 4",
            where="[network]",
            fix="Set 'depth' to 10, 16, 22, 28, 34, 40 or so on.",
        )
    return WideResNet(shape[0], num_classes, (depth - 4) // 6, widen_factor, drop_rate)
