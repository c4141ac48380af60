"""Two strided convolutions and two linear layers, as certified defenses use them.

The MNIST and SVHN network of Wong & Kolter (2018, arXiv:1711.00851), the "base" network of the OVAL benchmark and
the MNIST network of COLT (Balunovic & Vechev, 2020) are this with other numbers.
"""

import torch
from torch import nn

from robeval.values.parameters import Count
from robeval.zoo.archs.registry import Shapes, arch


def _settings(shapes: Shapes) -> list[dict[str, int]]:
    (width, _, kernel, _), wider, hidden = shapes["0.weight"], shapes["2.weight"][0], shapes["5.weight"][0]
    own = {"width": width, "wider": wider, "kernel": kernel, "hidden": hidden}
    # With the first padding, images of even size end at half of it.
    return [{**own, "padding": padding} for padding in ((kernel - 1) // 2, kernel // 2, 1)]


@arch("strided_cnn", _settings)
def strided_cnn(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    width: Count = 16,
    wider: Count = 32,
    kernel: Count = 4,
    padding: Count = 1,
    hidden: Count = 100,
) -> nn.Module:
    """Wong & Kolter's with the defaults: 166,406 parameters on 28x28 grey images; an `nn.Sequential`.

    Both convolutions have stride 2; `kernel` and `padding` are those of the first, the second has kernel 4, padding 1.
    """
    convolutions = nn.Sequential(
        nn.Conv2d(shape[0], width, kernel, stride=2, padding=padding),
        nn.ReLU(),
        nn.Conv2d(width, wider, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    )
    with torch.no_grad():
        features = convolutions(torch.zeros(1, *shape)).shape[1]
    return nn.Sequential(*convolutions, nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
