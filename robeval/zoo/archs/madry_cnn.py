"""The MNIST network of the Madry challenge (Madry et al., 2018, arXiv:1706.06083; also Tsipras et al., 2019)."""

import torch.nn.functional as F
from torch import Tensor, nn

from robeval.zoo.archs.registry import arch
from robeval.zoo.variables import Variable


class MadryCNN(nn.Module):
    """Two 5x5 convolutions that keep the size, each followed by 2x2 max-pooling, and two linear layers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.maps = shape[1] // 4, shape[2] // 4
        self.conv1 = nn.Conv2d(shape[0], 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc1 = nn.Linear(64 * self.maps[0] * self.maps[1], 1024)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))

    def variables(self) -> dict[str, Variable]:
        """As released: the graph names none of its variables, so TensorFlow numbers them in the order of layers."""
        weights = [f"{layer}.{part}" for layer in ("conv1", "conv2", "fc1", "fc2") for part in ("weight", "bias")]
        names = ["Variable", *(f"Variable_{i}" for i in range(1, len(weights)))]
        return {
            weight: Variable(name, self.maps if weight == "fc1.weight" else (1, 1))
            for weight, name in zip(weights, names)
        }


@arch("madry_cnn")
def madry_cnn(shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """As released: 3,274,634 parameters on 28x28 grey images."""
    return MadryCNN(shape, num_classes)
