"""Net, the small MNIST network of TRADES (Zhang et al., 2019, arXiv:1901.08573, Tables 3 and 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.values.parameters import Count, Share
from robeval.zoo.archs.one_score import two_logits
from robeval.zoo.archs.registry import Shapes, arch


class Net(nn.Module):
    """Two 5x5 convolutions, each followed by 2x2 max-pooling, and two linear layers."""

    def __init__(self, shape: tuple[int, int, int], outputs: int, drop: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.drop = drop
        with torch.no_grad():
            features = F.max_pool2d(self.conv2(F.max_pool2d(self.conv1(torch.zeros(1, *shape)), 2)), 2).numel()
        self.fc1 = nn.Linear(features, 50)
        self.fc2 = nn.Linear(50, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(F.dropout2d(self.conv2(x), self.drop, self.training), 2))
        x = F.dropout(F.relu(self.fc1(x.flatten(1))), self.drop, self.training)
        scores = self.fc2(x)
        return two_logits(scores) if self.fc2.out_features == 1 else scores


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    return [{"outputs": 1}] if shapes["fc2.weight"][0] == 1 else [{}]


@arch("net", _settings)
def net(shape: tuple[int, int, int], num_classes: int, *, drop: Share = 0.5, outputs: Count | None = None) -> nn.Module:
    """As released with the defaults: 21,840 parameters on 28x28 grey images with ten classes.

    With `outputs = 1` it is Net_binary, for two classes: one score whose sign decides.
    """
    return Net(shape, outputs or num_classes, drop)
