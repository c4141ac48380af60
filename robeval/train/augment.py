"""Random crops and mirror images of a batch, as tensor operations on the device it is on."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from robeval.datasets.pictures import Pictures
from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.ops.noise import Noise
from robeval.train.images import Cut, Pixels
from robeval.train.recipe import Settings

NAME = "augment"  # of its noise
_GREY = 0.5


def augment(x: Tensor, settings: Settings, noise: Noise) -> Tensor:
    """The images padded, cut and mirrored as the settings say, (n, c, h, w) as before.

    Those that `cutter` cuts out of their pictures are only mirrored. What happens to an image is a function of its
    noise alone, so of seed, epoch and sample; only `flip = "batch"` asks that of the batch's first image.
    """
    pad = settings.pad if settings.cut_from == "image" else 0
    if not pad and settings.flip == "none":
        return x
    n, channels, height, width = x.shape
    draws = _chances(noise)
    corner = (draws[:, :2] * (2 * pad + 1)).long()  # (n, 2)
    rows = corner[:, :1] + torch.arange(height, device=x.device)  # (n, h)
    columns = corner[:, 1:] + torch.arange(width, device=x.device)  # (n, w)
    if settings.flip != "none":
        mirrored = draws[:, 2:] < 0.5 if settings.flip == "image" else draws[:1, 2:] < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n, device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[None, :, None, None]
    return _padded(x, pad, settings.pad_with)[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cutter(settings: Settings, epoch: int, shape: tuple[int, int, int]) -> Cut | None:
    """What cuts images of `shape` (c, h, w) at random out of their whole pictures; None if they are not.

    A picture, uint8 (c, h', w') and no smaller than the image, gets a black border of `pad`; all places are as likely.
    """
    if settings.cut_from == "image":
        return None
    border = ((0, 0), (settings.pad,) * 2, (settings.pad,) * 2)

    def cut(row: int, picture: Pixels) -> Pixels:
        chances = _chances(Noise(settings.seed, NAME, epoch, [row]))[0, :2].tolist()
        padded: NDArray[Any] = np.pad(picture, border)
        free = [length - side + 1 for length, side in zip(padded.shape[1:], shape[1:], strict=True)]
        top, left = (int(chance * places) for chance, places in zip(chances, free, strict=True))
        return padded[:, top : top + shape[1], left : left + shape[2]]

    return cut


def _chances(noise: Noise) -> Tensor:
    """What is drawn for each image: where its part is from above and from the left, and whether it is mirrored.

    Float64 (n, 3) in [0, 1): in float32 a product with the number of places might be rounded up to it.
    """
    return noise.uniform([3]).double()


def check(settings: Settings, samples: Samples, where: str) -> None:
    """Raises:
    UserError: an image has no mirror image as wide as the padding, or is not the centre of a picture.
    """
    _, height, width = samples.shape
    side, pictures = min(height, width), settings.cut_from == "picture"
    found, fix = "", "Leave it out."
    if pictures and not (isinstance(samples.x, Pictures) and samples.x.crop):
        found = f"'cut_from' is \"picture\", but the images of {samples.dataset} are no parts of larger ones"
    elif pictures and settings.pad_with != "zero":
        found = f"'pad_with' is \"{settings.pad_with}\", but whole pictures are padded with black"
    elif not pictures and settings.pad_with == "reflect" and settings.pad >= side:
        found = f"'pad' is {settings.pad}, but images of {height}x{width} mirror at most {side - 1} pixels"
        fix = 'Pad less, or set pad_with = "zero".'
    if found:
        raise UserError(found, where=f"{where}: [training]", fix=fix)


def _padded(x: Tensor, pad: int, kind: str) -> Tensor:
    if kind == "reflect":
        return F.pad(x, (pad,) * 4, mode="reflect")
    return F.pad(x, (pad,) * 4, value=_GREY if kind == "grey" else 0.0)
