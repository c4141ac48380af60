"""From an image to an adversarial example of large eps (Tsipras et al., 2019, Figure 4)."""

from typing import Annotated, Literal

import torch

from robeval.errors import UserError
from robeval.pictures.content import NORMS, Grid, Strip
from robeval.pictures.far import about, ball, far, guesses
from robeval.pictures.registry import picture
from robeval.pictures.sight import MOST, Sight, panel
from robeval.values.parameters import Bound, Count, Positive


@picture("interpolation", about="model", paper="arXiv:1805.12152", sample="0:3")
def interpolation(
    sight: Sight,
    *,
    eps: Positive | None = None,
    norm: Literal["linf", "l2"] = "linf",
    steps: Count = 200,
    step_size: Positive | None = None,
    frames: Annotated[int, Bound(2, high=MOST)] = 6,
) -> Grid:
    """The straight way (1 - t) x + t x' from an image x to the large-eps example x' that each model makes of it.

    x' is that of the kind `large-eps`, with the same parameters. Below each image are the predicted class and its
    probability.
    """
    rows = len(sight.y) * len(sight.names)
    if rows > MOST:
        found = f"{len(sight.y)} images of {len(sight.names)} models are {rows} rows, and {MOST} fit into a picture"
        raise UserError(found, where="--sample", fix="Choose fewer images, as 0:3.")
    threat = ball(sight, norm, eps)
    shares = torch.linspace(0, 1, frames).tolist()
    strips: dict[tuple[int, int], Strip] = {}
    for place, name in enumerate(sight.names):
        ends = far(sight, name, threat, steps, step_size)
        stages = [(1 - share) * sight.x + share * ends for share in shares]
        said = [guesses(sight.probabilities(name, stage)) for stage in stages]
        for row, label in enumerate(sight.y.tolist()):
            panels = tuple(
                panel(stage[row], f"{guess[row][0]}  ({guess[row][1]:.2f})", alarm=guess[row][0] != label)
                for stage, guess in zip(stages, said, strict=True)
            )
            strips[row, place] = Strip(f"{name}\nclass {label}", panels)
    heads = tuple(f"t = {share:.2g}" for share in shares)
    note = (
        f"(1 - t) x + t x', x' by {about(threat, steps)}. Below: predicted class and its probability, bold where it is "
        "not the true one."
    )
    return Grid(
        f"From the image to its adversarial example, {NORMS[threat.norm]} ε = {threat.eps:.4g}, {sight.about}",
        note,
        heads,
        tuple(strips[key] for key in sorted(strips)),
    )
