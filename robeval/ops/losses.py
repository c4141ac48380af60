"""Losses that attacks climb and training descends.

Each takes logits, float (n, k), and a target, and returns one value per row, float (n,). Unless said
otherwise the target is a class, int64 (n,).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-log p_target, with p = softmax(logits)."""
    return F.cross_entropy(logits, target, reduction="none")


def margin(logits: Tensor, target: Tensor) -> Tensor:
    """max_{j != y} z_j - z_y: positive exactly where the sample is misclassified (Carlini & Wagner, 2017)."""
    true = logits.gather(1, target[:, None]).squeeze(1)  # (n,)
    return _strongest_other(logits, target) - true


def hinged_margin(logits: Tensor, target: Tensor, kappa: float) -> Tensor:
    """-max(z_y - max_{j != y} z_j + kappa, 0): `margin`, flat once another class leads by `kappa`.

    The loss of "PGD-CW" in the Madry challenges and in Bilateral Adversarial Training, with kappa 50.
    """
    return -F.relu(kappa - margin(logits, target))


def dlr(logits: Tensor, target: Tensor) -> Tensor:
    """Difference of logits ratio (Croce & Hein, 2020, eq. 6); needs at least 3 classes."""
    ranked = logits.sort(dim=1, descending=True).values
    return margin(logits, target) / (ranked[:, 0] - ranked[:, 2] + 1e-12)


def kl_from(logits: Tensor, target: Tensor) -> Tensor:
    """KL(softmax(target) || softmax(logits)), with `target` the clean logits, float (n, k) (TRADES, eq. 5)."""
    reference = F.log_softmax(target, dim=1)
    return (reference.exp() * (reference - F.log_softmax(logits, dim=1))).sum(dim=1)


def _strongest_other(logits: Tensor, target: Tensor) -> Tensor:
    others = logits.scatter(1, target[:, None], -torch.inf)
    return others.amax(dim=1)


# The classes a loss needs, where two are not enough.
LEAST_CLASSES = {"dlr": 3}

LOSSES = {"ce": cross_entropy, "margin": margin, "dlr": dlr}
