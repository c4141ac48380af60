"""Loss gradients with respect to pixels (Tsipras et al., 2019, Figure 2, https://arxiv.org/abs/1805.12152)."""

import torch
from torch import Tensor

from robeval.measures.gradients import steady_cross_entropy
from robeval.pictures.content import Grid, Panel, Strip
from robeval.pictures.registry import picture
from robeval.pictures.sight import Sight, panel, signed
from robeval.values.threat import ThreatModel

CLIP = 3.0  # standard deviations


@picture("gradients", about="model", paper="arXiv:1805.12152")
def gradients(sight: Sight) -> Grid:
    """The gradient of each model's cross-entropy with respect to the pixels of the same images.

    As the paper shows them, without any smoothing: of grey images red is negative, blue positive and white 0, cut at 3
    standard deviations; of colour images each gradient is cut at its mean plus or minus 3 standard deviations and
    rescaled to [0, 1]. Each picture has its own scale, so the l2 norm of the gradient stands below it.
    """
    strips = [Strip("image", tuple(map(panel, sight.x)))]
    for name in sight.names:
        slopes = sight.ask(
            name, ThreatModel("linf", 0.0), lambda problem: problem.gradient(problem.x, steady_cross_entropy)
        ).cpu()
        strips.append(Strip(name, tuple(map(_shown, slopes))))
    how = (
        "red negative, blue positive, each cut at 3 standard deviations"
        if sight.samples.shape[0] == 1
        else "each cut at its mean ± 3 standard deviations and rescaled"
    )
    note = f"Gradient of the cross-entropy with respect to the pixels in [0, 1]; {how}. Below: its ℓ₂ norm."
    return Grid(f"Loss gradients, {sight.about}", note, sight.heads, tuple(strips))


def _shown(slope: Tensor) -> Panel:
    """A gradient, (c, h, w), at its own scale."""
    exact = slope.double()
    caption = f"{float(torch.linalg.vector_norm(exact)):.2g}"
    if len(exact) == 1:
        return signed(exact, CLIP * float(exact.std()), caption)
    return signed(exact - exact.mean(), CLIP * float(exact.std()), caption)
