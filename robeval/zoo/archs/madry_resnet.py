"""The CIFAR-10 ResNet of the Madry challenge, of Bilateral Adversarial Training, and the narrow one of Tsipras et al.

Madry et al., 2018 (arXiv:1706.06083, "w32-10 wide"); Wang & Zhang, 2019 (arXiv:1811.10716, there "WRN-28-10");
Tsipras et al., 2019 (arXiv:1805.12152). Written in TensorFlow, it differs from the WideResNet of TRADES:
strided convolutions pad only below and right, shortcuts have no weights (average pooling, zero channels on both
sides), activations leak by 0.1, and batch normalisation has eps 0.001.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch, blocks
from robeval.zoo.archs.same import Same
from robeval.zoo.variables import Variable


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=0.001, momentum=0.1)


class Unit(nn.Module):
    """Normalise, activate, convolve, twice; in the first unit of all the shortcut starts after the activation."""

    def __init__(self, inputs: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1 = _norm(inputs)
        self.conv1 = Same(inputs, width, stride)
        self.bn2 = _norm(width)
        self.conv2 = Same(width, width, 1)
        self.stride, self.first, self.padding = stride, first, (width - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, width, h / stride, w / stride)."""
        active = F.leaky_relu(self.bn1(x), 0.1)
        shortcut = active if self.first else x
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, self.stride)
        shortcut = F.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding))
        return self.conv2(F.leaky_relu(self.bn2(self.conv1(active)), 0.1)) + shortcut


class Group(nn.Module):
    """The units of one width."""

    def __init__(self, units: int, inputs: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        rest = (Unit(width, width, 1, False) for _ in range(units - 1))
        self.layer = nn.Sequential(Unit(inputs, width, stride, first), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Through all units."""
        return self.layer(x)


class MadryResNet(nn.Module):
    """A 3x3 convolution, three groups of units, averaging and a linear layer; named as TRADES' WideResNet."""

    def __init__(self, channels: int, num_classes: int, units: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = Same(channels, 16, 1)
        self.block1 = Group(units, 16, widths[0], 1, first=True)
        self.block2 = Group(units, widths[0], widths[1], 2, first=False)
        self.block3 = Group(units, widths[1], widths[2], 2, first=False)
        self.bn1 = _norm(widths[2])
        self.fc = nn.Linear(widths[2], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.leaky_relu(self.bn1(x), 0.1).mean(dim=(2, 3)))

    def variables(self) -> dict[str, Variable]:
        """As released in both repositories."""
        names = {"conv1.weight": "input/init_conv/DW", "fc.weight": "logit/DW", "fc.bias": "logit/biases"}
        names |= _norm_variables("bn1", "unit_last")
        for b, group in enumerate((self.block1, self.block2, self.block3), 1):
            for i in range(len(group.layer)):
                own, unit = f"block{b}.layer.{i}", f"unit_{b}_{i}"
                first = "shared_activation" if (b, i) == (1, 0) else "residual_only_activation"
                names |= _norm_variables(f"{own}.bn1", f"{unit}/{first}") | _norm_variables(
                    f"{own}.bn2", f"{unit}/sub2"
                )
                names |= {f"{own}.conv{k}.weight": f"{unit}/sub{k}/conv{k}/DW" for k in (1, 2)}
        return {own: Variable(name) for own, name in names.items()}


def _norm_variables(own: str, scope: str) -> dict[str, str]:
    """Those of a normalisation."""
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return {f"{own}.{part}": f"{scope}/BatchNorm/{name}" for part, name in parts.items()}


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    names = ("block1.layer.", "block1.layer.0.conv1.weight"), ("unit_1_", "unit_1_0/sub1/conv1/DW")
    return [
        {"units": blocks(shapes, prefix), "widen_factor": shapes[first][0] // 16}
        for prefix, first in names
        if first in shapes
    ]


@arch("madry_resnet", _settings)
def madry_resnet(
    shape: tuple[int, int, int], num_classes: int, *, units: Count = 5, widen_factor: Count = 10
) -> nn.Module:
    """As released with the defaults: 45,901,914 parameters on CIFAR-10; `widen_factor = 1` is Tsipras' narrow one."""
    return MadryResNet(shape[0], num_classes, units, (16 * widen_factor, 32 * widen_factor, 64 * widen_factor))
