"""A linear classifier of pixels, as in section 4 of Robustness May Be at Odds with Accuracy (arXiv:1805.12152)."""

from math import prod

from torch import Tensor, nn

from robeval.values.parameters import Count
from robeval.zoo.archs.one_score import two_logits
from robeval.zoo.archs.registry import Shapes, arch


class Linear(nn.Module):
    """One linear layer."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, k) of images (n, c, h, w)."""
        scores = self.fc(x.flatten(1))
        return two_logits(scores) if self.fc.out_features == 1 else scores


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    return [{"outputs": 1}] if shapes["fc.weight"][0] == 1 else [{}]


@arch("linear", _settings)
def linear(shape: tuple[int, int, int], num_classes: int, *, outputs: Count | None = None) -> nn.Module:
    """One score for each class: 7,850 parameters on 28x28 grey images with ten classes.

    With `outputs = 1`, for two classes, it is the paper's: one score w.x + b whose sign decides.
    """
    return Linear(prod(shape), outputs or num_classes)
