"""Adversarial examples of large eps (Tsipras et al., 2019, Figure 3, https://arxiv.org/abs/1805.12152)."""

from typing import Literal

from robeval.pictures.content import NORMS, Grid, Strip
from robeval.pictures.far import about, ball, far, guesses
from robeval.pictures.registry import picture
from robeval.pictures.sight import Sight, panel
from robeval.values.parameters import Count, Positive


@picture("large-eps", about="model", paper="arXiv:1805.12152")
def large_eps(
    sight: Sight,
    *,
    eps: Positive | None = None,
    norm: Literal["linf", "l2"] = "linf",
    steps: Count = 200,
    step_size: Positive | None = None,
) -> Grid:
    """What each model's loss wants an image to become: PGD in a large ball, the same for all models.

    The radius is that of the paper's Table 3 for mnist, cifar10 and restricted_imagenet, four times that of the suites
    for digits (0.75 in l-inf, 2 in l2), and has to be given for other data. The paper states no steps: 200 of 2.5 eps /
    200. Below each image is the class that the model predicts.
    """
    threat = ball(sight, norm, eps)
    strips = [Strip("image", tuple(map(panel, sight.x)))]
    for name in sight.names:
        points = far(sight, name, threat, steps, step_size)
        found = guesses(sight.probabilities(name, points))
        panels = [
            panel(image, str(guess), alarm=guess != label)
            for image, (guess, _), label in zip(points, found, sight.y.tolist(), strict=True)
        ]
        strips.append(Strip(name, tuple(panels)))
    note = f"{about(threat, steps)}. Below: predicted class, bold where it is not the true one."
    title = f"Adversarial examples of large ε, {NORMS[threat.norm]} ε = {threat.eps:.4g}, {sight.about}"
    return Grid(title, note, sight.heads, tuple(strips))
