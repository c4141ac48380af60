"""Arrays of adversarial images as the public challenges take them, and the rules they are checked by.

TRADES (https://github.com/yaodongyu/TRADES): pixels in [0, 1], no tolerance, all computed in float32. Madry et al.
(https://github.com/MadryLab/mnist_challenge, cifar10_challenge): a tolerance of 1e-4 in the file's own scale. Both
want channels last and one image for each of the 10,000 test images in the official order.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.errors import UserError, nearest
from robeval.whole import write_whole

Images = NDArray[np.float32]
COUNT = 10_000  # test images, all of which both challenges want
SHOWN = 3  # places of a kind of violation that are named


@dataclass(frozen=True, slots=True)
class Rules:
    """What one challenge accepts.

    Attributes:
        shape: of one image in the file.
        scale: the file's value for a white pixel.
        eps: radius of the l-inf ball in that scale.
        tolerance: by how much ball and box may be left, in that scale.
        whole: whether pixels may be whole numbers too; what asks for floats does not take them.
    """

    name: str
    dataset: str
    shape: tuple[int, ...]
    scale: float
    eps: float
    tolerance: float
    whole: bool = False

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
        Rules("madry", "mnist", (784,), 1.0, 0.3, 1e-4, whole=True),
        Rules("madry", "cifar10", (32, 32, 3), 255.0, 8.0, 1e-4, whole=True),
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
    fix = "Save the images with `numpy.save`, as one array of numbers."
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError("there is no such file", where=path, fix="Give the path of an .npy file.") from None
    except (OSError, ValueError, EOFError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"this is no array of numbers: {reason}", where=path, fix=fix) from None
    if not isinstance(found, np.ndarray):
        with found:
            names = ", ".join(found.files)
        raise UserError(f"this is no array of numbers, but an archive of arrays: {names}", where=path, fix=fix)
    return found


def write(path: Path, array: Images) -> None:
    """Put an array into an `.npy` file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array), allow_pickle=False)
    write_whole(path, content.getvalue())


def wrong_form(rules: Rules, array: NDArray[Any], n: int) -> str:
    """What is wrong with shape and type, so that nothing else can be checked; empty if nothing is."""
    wanted, found = (n, *rules.shape), []
    if array.shape != wanted:
        hint = ""
        if len(wanted) == 4 and array.shape == (n, wanted[3], *wanted[1:3]):
            hint = "; channels come last: x.transpose(0, 2, 3, 1)"
        elif array.size == math.prod(wanted):
            hint = f"; it holds as many numbers: x.reshape{wanted}"
        found.append(f"its shape is {array.shape}, expected {wanted}{hint}")
    kinds = (np.floating, np.integer) if rules.whole else (np.floating,)
    if not any(np.issubdtype(array.dtype, kind) for kind in kinds):
        found.append(f"its numbers are {array.dtype}, expected floats from 0 to {rules.scale:g}")
    return ", and ".join(found)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which images break the rules.

    Attributes:
        what: for people, as `further than 0.3 from the test image`.
        images: which do, bool (n,).
        sizes: how far each goes, in the file's scale, (n,); None where that has no size.
    """

    what: str
    images: NDArray[np.bool_]
    sizes: Images | None = None

    def __str__(self) -> str:
        places = np.flatnonzero(self.images)
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        most = ""
        if self.sizes is not None:
            sizes = self.sizes[self.images]
            most = f" ({float(sizes[np.abs(sizes).argmax()]):.9g})"
        count = "1 image" if len(places) == 1 else f"{len(places)} images"
        return f"{count} {self.what}{most}: {', '.join(map(str, places[:SHOWN]))}{more}"


def kinds(rules: Rules, array: NDArray[Any], clean: Images) -> list[Kind]:
    """Every kind of violation that there is; arguments as in `violations`."""
    given, x = _flat(rules, array, clean)
    numbers = np.isfinite(given).all(axis=1)
    white, far, room = rules.scale, np.abs(given - x).max(axis=1), np.float64(rules.tolerance)
    low, high = given.min(axis=1), given.max(axis=1)
    known = (
        Kind("with NaN or infinity", np.logical_not(numbers)),
        Kind("with pixels below 0", np.logical_and(numbers, low < -room), low),
        Kind(f"with pixels above {white:g}", np.logical_and(numbers, high > white + room), high),
        Kind(f"further than {rules.eps:g} from the test image", np.logical_and(numbers, far > rules.eps + room), far),
    )
    return [kind for kind in known if kind.images.any()]


def violations(rules: Rules, array: NDArray[Any], clean: Images) -> tuple[list[str], NDArray[np.bool_]]:
    """Every kind of violation with how many images it concerns, and which images are valid, bool (n,).

    Args:
        array: as in the file, of the right shape.
        clean: the test images in [0, 1], float32 (n, c, h, w).
    """
    found = kinds(rules, array, clean)
    valid = ~np.logical_or.reduce([np.zeros(len(clean), bool), *(kind.images for kind in found)])
    hint = "" if valid.mean() > 0.5 else _hint(rules, array, clean)
    return [*map(str, found), *([hint] if hint else [])], valid


def every_one(found: Sequence[Kind]) -> str:
    """All violations as CSV, one line for each image and kind: `image,violation,value`."""
    lines = [
        (int(place), kind.what, "" if kind.sizes is None else f"{float(kind.sizes[place]):.9g}")
        for kind in found
        for place in np.flatnonzero(kind.images)
    ]
    return "\n".join(
        ["image,violation,value", *(f"{place},{what},{value}" for place, what, value in sorted(lines)), ""]
    )


def _flat(rules: Rules, array: NDArray[Any], clean: Images) -> tuple[Images, Images]:
    """The file's images and the test images, float32 (n, pixels) in the file's scale and order."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, which is a violation
        given = np.asarray(array, np.float32).reshape(len(clean), -1)
    return given, rules.packed(clean).reshape(len(clean), -1)


def _hint(rules: Rules, array: NDArray[Any], clean: Images) -> str:
    """What has probably happened where most images are not valid."""
    given, x = _flat(rules, array, clean)
    numbers = np.isfinite(given).all(axis=1)
    given = given[numbers]
    if not len(given):
        return ""
    if given.max() > 1.5 * rules.scale or given.max() < rules.scale / 50:
        return f"its values are from {given.min():g} to {given.max():g}: is its scale 0 to {rules.scale:g}?"
    room = rules.eps + max(rules.tolerance, 1e-6)
    channels, height, width = clean.shape[1:]
    readings = {
        "its channels seem to come first, under a shape in which they are last": (
            given.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        ),
        "its rows and columns seem to be exchanged": (given.reshape(-1, height, width, channels).transpose(0, 2, 1, 3)),
    }
    for what, reading in readings.items():
        if (np.abs(reading.reshape(len(given), -1) - x[numbers]).max(axis=1) <= room).mean() > 0.5:
            return what
    nearest = [np.abs(x - each).max(axis=1).min() for each in given[:20]]
    if max(nearest) <= room:
        return "the images are near to test images at other places: are they in the official order?"
    return ""
