"""CNN1, an MNIST network of A Closer Look at Accuracy vs. Robustness (Yang et al., 2020, arXiv:2003.02460)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Share
from robeval.zoo.archs.registry import arch


class CNN1(nn.Module):
    """Two 3x3 convolutions, the second without an activation, one pooling, and two linear layers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, drop1: float, drop2: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.drop1, self.drop2 = drop1, drop2
        with torch.no_grad():
            features = F.max_pool2d(self.conv2(self.conv1(torch.zeros(1, *shape))), 2).numel()
        self.fc1 = nn.Linear(features, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = F.max_pool2d(self.conv2(F.relu(self.conv1(x))), 2)
        x = F.dropout2d(x, self.drop1, self.training).flatten(1)
        return self.fc2(F.dropout(F.relu(self.fc1(x)), self.drop2, self.training))


@arch("cnn1")
def cnn1(shape: tuple[int, int, int], num_classes: int, *, drop1: Share = 0.25, drop2: Share = 0.5) -> nn.Module:
    """As released with the defaults: 1,199,882 parameters on 28x28 grey images. (CNN2 of the paper is `small_cnn`.)"""
    return CNN1(shape, num_classes, drop1, drop2)
