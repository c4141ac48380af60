"""Random crops and mirror images of a batch, as tensor operations on the device it is on."""

import torch
import torch.nn.functional as F
from torch import Tensor

from robeval.errors import UserError
from robeval.ops.noise import Noise
from robeval.train.recipe import Settings

_GREY = 0.5


def augment(x: Tensor, settings: Settings, noise: Noise) -> Tensor:
    """The images padded, cut and mirrored as the settings say, (n, c, h, w) as before.

    What happens to an image is a function of its noise alone, so of seed, epoch and sample; only `flip = "batch"`
    asks that of the batch's first image.
    """
    if not settings.pad and settings.flip == "none":
        return x
    n, channels, height, width = x.shape
    draws = noise.uniform([3]).double()  # (n, 3): in float32 a product with 2 pad + 1 might be rounded up to it
    corner = (draws[:, :2] * (2 * settings.pad + 1)).long()  # (n, 2)
    rows = corner[:, :1] + torch.arange(height, device=x.device)  # (n, h)
    columns = corner[:, 1:] + torch.arange(width, device=x.device)  # (n, w)
    if settings.flip != "none":
        mirrored = draws[:, 2:] < 0.5 if settings.flip == "image" else draws[:1, 2:] < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n, device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[None, :, None, None]
    return _padded(x, settings)[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def check(settings: Settings, shape: tuple[int, int, int], where: str) -> None:
    """Raises:
    UserError: an image (c, h, w) has no mirror image as wide as the padding.
    """
    smallest = min(shape[1:])
    if settings.pad_with == "reflect" and settings.pad >= smallest:
        found = f"'pad' is {settings.pad}, but images of {shape[1]}x{shape[2]} mirror at most {smallest - 1} pixels"
        raise UserError(found, where=f"{where}: [training]", fix='Pad less, or set pad_with = "zero".')


def _padded(x: Tensor, settings: Settings) -> Tensor:
    sides = (settings.pad,) * 4
    if settings.pad_with == "reflect":
        return F.pad(x, sides, mode="reflect")
    return F.pad(x, sides, value=_GREY if settings.pad_with == "grey" else 0.0)
