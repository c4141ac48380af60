"""Adversarial examples far from the image (Tsipras et al., 2019, Section 3.3): PGD in a ball that is hardly one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from robeval.attacks.pgd import pgd
from robeval.errors import UserError
from robeval.ops.problem import Problem
from robeval.pictures.content import NORMS
from robeval.pictures.sight import Sight
from robeval.values.threat import ThreatModel

# Pixels in [0, 1]: Table 3 of the paper; of digits ours, four times the radius of the suites `digits_linf` and
# `digits_l2`, as the paper's 0.125 of CIFAR-10 is four times the usual 8/255.
RADII = {
    ("digits", "linf"): 0.75,
    ("digits", "l2"): 2.0,
    ("mnist", "linf"): 0.3,
    ("mnist", "l2"): 4.0,
    ("cifar10", "linf"): 0.125,
    ("cifar10", "l2"): 4.7,
    ("restricted_imagenet", "linf"): 0.25,
    ("restricted_imagenet", "l2"): 40.0,
}


def ball(sight: Sight, norm: Any, eps: float | None) -> ThreatModel:
    """The ball with the given radius, or with the usual one of the data set.

    Raises:
        UserError: neither is there.
    """
    dataset = sight.samples.dataset
    radius = RADII.get((dataset, norm)) if eps is None else eps
    if radius is None:
        known = ", ".join(sorted({name for name, _ in RADII}))
        raise UserError(
            f"no radius is usual for {dataset}, only for {known}",
            where="--eps",
            fix="Give one, a few times as large as the models were trained for.",
        )
    return ThreatModel(norm, radius)


def far(sight: Sight, name: str, threat: ThreatModel, steps: int, step_size: float | None) -> Tensor:
    """The end of PGD on the cross-entropy from each image, as one model makes it: float32 (n, c, h, w)."""
    length = 2.5 * threat.eps / steps if step_size is None else step_size

    def climb(problem: Problem) -> Tensor:
        return pgd(problem, steps=steps, step_size=length, random_start=False).cpu()

    return sight.ask(name, threat, climb)


def about(threat: ThreatModel, steps: int) -> str:
    """What was done, for people."""
    return f"PGD on the cross-entropy, {NORMS[threat.norm]} ε = {threat.eps:.4g}, {steps} steps, from the image itself"


def guesses(probabilities: NDArray[np.float64]) -> list[tuple[int, float]]:
    """The predicted class of each row, and its probability."""
    return [(int(row.argmax()), float(row.max())) for row in probabilities]
