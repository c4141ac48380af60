"""Networks of two classes that give one score."""

import torch
from torch import Tensor, nn


class OneScore(nn.Module):
    """A network of one score f, whose sign is the class, as logits of two classes: -f/2 and f/2.

    Their cross-entropy is the logistic loss log(1 + exp(-y f)) of the label y = -1 or 1.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 2) of images (n, c, h, w)."""
        score = self.network(x)  # (n, 1)
        return torch.cat([-score, score], dim=1) / 2
