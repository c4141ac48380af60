"""What a model's answer says to attacks that look at nothing else."""

from torch import Tensor


def misclassified(logits: Tensor, y: Tensor) -> Tensor:
    """Which rows have another class in front, bool (n,); of equal logits the lowest class leads, and NaN never counts.

    Args:
        logits: float (n, k).
        y: true classes, int64 (n,).
    """
    return (logits.argmax(dim=1) != y) & logits.isfinite().all(dim=1)
