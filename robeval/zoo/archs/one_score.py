"""Networks of two classes that give one score."""

import torch
from torch import Tensor


def two_logits(score: Tensor) -> Tensor:
    """Scores f (n, 1), whose sign is the class, as logits (n, 2) of two classes: -f/2 and f/2.

    Their cross-entropy is the logistic loss log(1 + exp(-y f)) of the label y = -1 or 1.
    """
    return torch.cat([-score, score], dim=1) / 2
