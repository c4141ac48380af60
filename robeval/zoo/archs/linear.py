"""A linear classifier of pixels, as in section 4 of Robustness May Be at Odds with Accuracy (arXiv:1805.12152)."""

from math import prod

from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.one_score import OneScore
from robeval.zoo.archs.registry import arch


class Linear(nn.Module):
    """One linear layer."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        return self.fc(x.flatten(1))


@arch("linear", variants=[{"outputs": 1}])
def linear(shape: tuple[int, int, int], num_classes: int, *, outputs: Count | None = None) -> nn.Module:
    """One score for each class: 7,850 parameters on 28x28 grey images with ten classes.

    With `outputs = 1`, for two classes, it is the paper's: one score w.x + b whose sign decides.
    """
    network = Linear(prod(shape), outputs or num_classes)
    return OneScore(network) if outputs == 1 else network
