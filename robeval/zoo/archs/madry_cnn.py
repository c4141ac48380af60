"""The MNIST network of the Madry challenge (Madry et al., 2018, arXiv:1706.06083; also Tsipras et al., 2019)."""

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.zoo.archs.registry import arch


class MadryCNN(nn.Module):
    """Two 5x5 convolutions that keep the size, each followed by 2x2 max-pooling, and two linear layers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc1 = nn.Linear(64 * (shape[1] // 4) * (shape[2] // 4), 1024)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


@arch("madry_cnn")
def madry_cnn(shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """As released: 3,274,634 parameters on 28x28 grey images."""
    return MadryCNN(shape, num_classes)
