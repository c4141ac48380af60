"""Arrays of adversarial images as the public challenges take them, and the rules they are checked by.

TRADES (https://github.com/yaodongyu/TRADES): pixels in [0, 1], no tolerance, all computed in float32. Madry et al.
(https://github.com/MadryLab/mnist_challenge, cifar10_challenge): a tolerance of 1e-4 in the file's own scale. Both
want channels last and one image for each of the 10,000 test images in the official order.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.errors import UserError, nearest
from robeval.whole import write_whole

Images = NDArray[np.float32]
SHOWN = 3  # places of a kind of violation that are named


@dataclass(frozen=True, slots=True)
class Rules:
    """What one challenge accepts.

    Attributes:
        shape: of one image in the file.
        scale: the file's value for a white pixel.
        eps: radius of the l-inf ball in that scale.
        tolerance: by how much ball and box may be left, in that scale.
    """

    name: str
    dataset: str
    shape: tuple[int, ...]
    scale: float
    eps: float
    tolerance: float

    def packed(self, images: Images) -> Images:
        """Images in [0, 1], float32 (n, c, h, w), in the form of the file."""
        return (images.transpose(0, 2, 3, 1) * np.float32(self.scale)).reshape(len(images), *self.shape)

    def unpacked(self, array: NDArray[Any], image: tuple[int, int, int]) -> Images:
        """What the file holds as images in [0, 1], float32 (n, c, h, w)."""
        channels, height, width = image
        pixels = array.astype(np.float32).reshape(len(array), height, width, channels).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels / np.float32(self.scale)).clip(0, 1)


RULES = {
    f"{rules.name}_{rules.dataset}": rules
    for rules in (
        Rules("trades", "mnist", (28, 28), 1.0, 0.3, 0.0),
        Rules("trades", "cifar10", (32, 32, 3), 1.0, 0.031, 0.0),
        Rules("madry", "mnist", (784,), 1.0, 0.3, 1e-4),
        Rules("madry", "cifar10", (32, 32, 3), 255.0, 8.0, 1e-4),
    )
}


def find(name: str, dataset: str) -> Rules:
    """The rules of a challenge for a data set.

    Raises:
        UserError: there are none.
    """
    known = [rules.name for rules in RULES.values() if rules.dataset == dataset]
    if name not in known:
        raise UserError(f"no rules '{name}' for {dataset}", where="--rules", fix=nearest(name, known))
    return RULES[f"{name}_{dataset}"]


def read(path: Path) -> NDArray[Any]:
    """The array in an `.npy` file; nothing in it is executed.

    Raises:
        UserError: it is missing, cut, another kind of file, or holds objects.
    """
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise UserError("there is no such file", where=path, fix="Give the path of an .npy file.") from None
    except (OSError, ValueError, EOFError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "Save the images with `numpy.save`, as one array of numbers."
        raise UserError(f"this is no array of numbers: {reason}", where=path, fix=fix) from None


def write(path: Path, array: Images) -> None:
    """Put an array into an `.npy` file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array), allow_pickle=False)
    write_whole(path, content.getvalue())


def wrong_form(rules: Rules, array: NDArray[Any], n: int) -> str:
    """What is wrong with shape or type, so that nothing else can be checked; empty if nothing is."""
    wanted = (n, *rules.shape)
    if array.shape != wanted:
        hint = "; channels come last" if sorted(array.shape) == sorted(wanted) else ""
        return f"its shape is {array.shape}, expected {wanted}{hint}"
    if not np.issubdtype(array.dtype, np.floating):
        return f"its numbers are {array.dtype}, expected floats from 0 to {rules.scale:g}"
    return ""


def violations(rules: Rules, array: NDArray[Any], clean: Images) -> tuple[list[str], NDArray[np.bool_]]:
    """Every kind of violation with how many images it concerns, and which images are valid, bool (n,).

    Args:
        array: as in the file, of the right shape.
        clean: the test images in [0, 1], float32 (n, c, h, w).
    """
    given = np.asarray(array, np.float32).reshape(len(clean), -1)
    x = rules.packed(clean).reshape(len(clean), -1)
    numbers = np.isfinite(given).all(axis=1)
    white, far, room = rules.scale, np.abs(given - x).max(axis=1), np.float64(rules.tolerance)
    low, high = given.min(axis=1), given.max(axis=1)
    kinds: tuple[tuple[Any, str, Images | None], ...] = (
        (~numbers, "hold NaN or infinity", None),
        (numbers & (low < -room), "have pixels below 0", low),
        (numbers & (high > white + room), f"have pixels above {white:g}", high),
        (numbers & (far > rules.eps + room), f"are further than {rules.eps:g} from the test image", far),
    )
    found = [_kind(wrong, what, size) for wrong, what, size in kinds if wrong.any()]
    valid = ~np.logical_or.reduce([wrong for wrong, _, _ in kinds])
    hint = "" if valid.mean() > 0.5 else _hint(rules, given[numbers], x)
    return [*found, *([hint] if hint else [])], valid


def _kind(wrong: NDArray[np.bool_], what: str, size: NDArray[np.float32] | None) -> str:
    places = np.flatnonzero(wrong)
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    most = "" if size is None else f" ({float(size[wrong][np.abs(size[wrong]).argmax()]):.9g})"
    return f"{len(places)} images {what}{most}: {', '.join(map(str, places[:SHOWN]))}{more}"


def _hint(rules: Rules, given: Images, x: Images) -> str:
    """What has probably happened where most images are not valid."""
    if not len(given):
        return ""
    if given.max() > 1.5 * rules.scale or given.max() < rules.scale / 50:
        return f"its values are from {given.min():g} to {given.max():g}: is its scale 0 to {rules.scale:g}?"
    nearest = [np.abs(x - each).max(axis=1).min() for each in given[:20]]
    if max(nearest) <= rules.eps + max(rules.tolerance, 1e-6):
        return "the images are near to test images at other places: are they in the official order?"
    return ""
