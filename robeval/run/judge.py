"""The only place that decides whether a sample is broken."""

from dataclasses import dataclass

import torch
from torch import Tensor

from robeval.ops import geometry
from robeval.ops.microbatch import Microbatches, by_row
from robeval.values.threat import ThreatModel


@dataclass(frozen=True, slots=True)
class Judgement:
    """One row per candidate.

    Attributes:
        broken: another class has the largest logit, the image is in the ball, and nothing below speaks against it.
        predicted: the class with the largest logit, int64; of equal ones, the lowest number.
        distance: from the clean image in the threat model's norm, float32; NaN where the image is not
            misclassified, has escaped or is not finite.
        escaped: outside the ball or the pixel box by any amount: not a success, but a bug in the attack.
        nonfinite: the image or its logits hold NaN or infinity: not a success.
    """

    broken: Tensor
    predicted: Tensor
    distance: Tensor
    escaped: Tensor
    nonfinite: Tensor


def judge(
    model: Microbatches, x: Tensor, y: Tensor, candidates: Tensor, threat: ThreatModel, anywhere: bool = False
) -> Judgement:
    """Decide about candidates by a fresh forward pass and exact float32 checks of ball and box.

    Args:
        x, y: clean images (n, c, h, w) and true classes (n,).
        candidates: what an attack proposes, same shape as x.
        anywhere: it may lie outside the ball, as those of minimal-distance attacks; it breaks nothing then.

    Raises:
        ValueError: the candidates are not of x's shape and dtype.
    """
    if candidates.shape != x.shape or candidates.dtype != x.dtype:
        raise ValueError(
            f"the attack returned {tuple(candidates.shape)} {candidates.dtype}, expected {tuple(x.shape)} {x.dtype}"
        )
    candidates = candidates.detach()
    finite = candidates.isfinite().flatten(1).all(dim=1)
    near = by_row(lambda adv, clean: geometry.near(adv, clean, threat), geometry.ROWS, candidates, x)
    distance = by_row(lambda adv, clean: geometry.distance(adv, clean, threat.norm), geometry.ROWS, candidates, x)
    escaped = finite & ~(geometry.boxed(candidates, threat) & (near | anywhere))
    logits = model.logits(candidates.where(finite[:, None, None, None], x))
    finite = finite & logits.isfinite().all(dim=1)
    predicted = logits.argmax(dim=1)  # the first of equal values
    wrong = (predicted != y) & finite & ~escaped
    return Judgement(wrong & near, predicted, distance.float().where(wrong, torch.nan), escaped, ~finite)
