"""SmallCNN, the MNIST network of TRADES (Zhang et al., 2019, arXiv:1901.08573, section 5.3)."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.parameters import Count, Share
from robeval.zoo.archs.registry import Shapes, arch


class SmallCNN(nn.Module):
    """Two pairs of 3x3 convolutions, each followed by 2x2 max-pooling, and three linear layers."""

    def __init__(
        self, shape: tuple[int, int, int], num_classes: int, width: int, hidden: int, padding: int, drop: float
    ) -> None:
        super().__init__()
        self.feature_extractor = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(shape[0], width, 3, padding=padding),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(width, width, 3, padding=padding),
                relu2=nn.ReLU(),
                maxpool1=nn.MaxPool2d(2),
                conv3=nn.Conv2d(width, 2 * width, 3, padding=padding),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(2 * width, 2 * width, 3, padding=padding),
                relu4=nn.ReLU(),
                maxpool2=nn.MaxPool2d(2),
            )
        )
        with torch.no_grad():
            features = self.feature_extractor(torch.zeros(1, *shape)).numel()
        self.classifier = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(features, hidden),
                relu1=nn.ReLU(),
                drop=nn.Dropout(drop),
                fc2=nn.Linear(hidden, hidden),
                relu2=nn.ReLU(),
                fc3=nn.Linear(hidden, num_classes),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for parameter in self.classifier[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        return self.classifier(self.feature_extractor(x).flatten(1))


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    width, hidden = shapes["feature_extractor.conv1.weight"][0], shapes["classifier.fc1.weight"][0]
    return [{"width": width, "hidden": hidden, "padding": padding} for padding in (0, 1)]


@arch("small_cnn", _settings)
def small_cnn(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    width: Count = 32,
    hidden: Count = 200,
    padding: Literal[0, 1] = 0,
    drop: Share = 0.5,
) -> nn.Module:
    """TRADES' MNIST network with the defaults, CNN2 of Yang et al. (2020); 312,202 parameters on 28x28 grey images.

    Smaller images want `padding = 1`, which keeps their size in the convolutions. As released: Kaiming-normal
    convolutions, zero biases, last layer all zero.
    """
    if padding == 0 and min(shape[1:]) < 16:
        raise UserError(
            f"small_cnn without padding needs images of at least 16x16, not {shape[1]}x{shape[2]}",
            where="[network]",
            fix="Set 'padding = 1'.",
        )
    return SmallCNN(shape, num_classes, width, hidden, padding, drop)
