"""Losses that attacks climb and training descends.

Each takes logits, float (n, k), and a target, and returns one value per row, float (n,). Unless said
otherwise the target is a class, int64 (n,). The targeted ones take two classes per row, int64 (n, 2): the
true one and the wanted one.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


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


def towards(logits: Tensor, target: Tensor) -> Tensor:
    """log p_wanted: targeted cross-entropy, the sign turned so that attacks climb it."""
    return -cross_entropy(logits, target[:, 1])


def targeted_margin(logits: Tensor, target: Tensor, kappa: float | None = None) -> Tensor:
    """z_t - max_{j != t} z_j, t the wanted class; with `kappa` flat once it leads by that much (BAT's targeted CW)."""
    lead = -margin(logits, target[:, 1])
    return lead if kappa is None else -F.relu(kappa - lead)


def difference(logits: Tensor, target: Tensor) -> Tensor:
    """z_t - z_y, t the wanted class and y the true one (Gowal et al., 2019, section 3)."""
    true, wanted = logits.gather(1, target).unbind(dim=1)
    return wanted - true


def targeted_dlr(logits: Tensor, target: Tensor) -> Tensor:
    """Targeted difference of logits ratio (Croce & Hein, 2020, eq. 7); needs at least 4 classes."""
    ranked = logits.sort(dim=1, descending=True).values
    return difference(logits, target) / (ranked[:, 0] - (ranked[:, 2] + ranked[:, 3]) / 2 + 1e-12)


def _strongest_other(logits: Tensor, target: Tensor) -> Tensor:
    others = logits.scatter(1, target[:, None], -torch.inf)
    return others.amax(dim=1)


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "margin": margin, "dlr": dlr}
TARGETED: dict[str, Loss] = {
    "ce": towards, "margin": targeted_margin, "dlr": targeted_dlr, "difference": difference
}  # fmt: skip

# The classes a loss needs, where two are not enough.
LEAST_CLASSES = {"dlr": 3}
LEAST_CLASSES_TARGETED = {"dlr": 4}


def chosen(loss: str, targeted: bool, kappa: float | None = None) -> Loss:
    """The loss of that name; kappa is the hinge of "margin"; "auto" goes by how many logits it is given."""
    if loss == "auto":
        return lambda logits, target: chosen(settled(loss, targeted, logits.shape[1]), targeted)(logits, target)
    if kappa is None or loss != "margin":
        return TARGETED[loss] if targeted else LOSSES[loss]
    return partial(targeted_margin if targeted else hinged_margin, kappa=kappa)


def settled(loss: str, targeted: bool, classes: int) -> str:
    """The loss itself; for "auto" the (targeted) DLR, or where it needs more classes the lead in its numerator."""
    if loss != "auto":
        return loss
    lead = "difference" if targeted else "margin"
    return lead if too_few_classes("dlr", targeted, classes) else "dlr"


def too_few_classes(loss: str, targeted: bool, classes: int) -> str:
    """What is wrong with this loss for so many classes; empty if nothing is."""
    least = (LEAST_CLASSES_TARGETED if targeted else LEAST_CLASSES).get(loss, 2)
    return f"loss '{loss}' needs {least} classes, but there are {classes}" if classes < least else ""
