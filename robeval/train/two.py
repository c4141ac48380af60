"""Two classes as the theory of the papers has them: one score f, and labels y of -1 and +1."""

from torch import Tensor

from robeval.errors import UserError


def score(logits: Tensor) -> Tensor:
    """f = z_1 - z_0, float (n,), of logits (n, 2).

    Raises:
        UserError: there are not two classes.
    """
    if logits.shape[1] != 2:
        found = f"the method is for two classes, but the network has {logits.shape[1]}"
        raise UserError(found, where="[training]", fix="Take a data set of two classes, or another method.")
    return logits[:, 1] - logits[:, 0]


def sign(y: Tensor) -> Tensor:
    """-1 for class 0 and +1 for class 1, int64 (n,)."""
    return 2 * y - 1
