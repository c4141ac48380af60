"""What robeval asks of a model."""

from typing import Protocol

from torch import Tensor


class Classifier(Protocol):
    """Images in [0, 1], float32 (n, c, h, w), to logits, float32 (n, k)."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """The logits of each image."""
        ...
