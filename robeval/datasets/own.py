"""Images in place of a suite's own: another data set, arrays, a file of them, or a folder of image files."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from robeval.datasets import registry
from robeval.datasets.arrays import channels_first, read_npy, read_npz
from robeval.datasets.pictures import of_folders, pictures, scan
from robeval.datasets.registry import Samples
from robeval.errors import UserError, nearest

OPTION = "--data"
FORMS = (
    "Give the name of a data set, FILE.npz with x and y, NAME_X.npy beside NAME_Y.npy, or a folder of class folders."
)
# A name that is no data set's: the labels say how many classes there are.
OTHER_CLASSES = 'For data of other classes write dataset = "own" in a suite of your own.'


def load(given: str, like: str, split: str, roots: tuple[Path, ...]) -> Samples:
    """The images and labels that `given` names.

    Args:
        given: the name of a data set; an `.npz` file with the arrays `x` and `y`; a file `..._X.npy` with
            `..._Y.npy` beside it, as the challenge of TRADES has them; or a folder with one folder of images for
            each class, whose classes are in alphabetical order.
        like: the data set they are like; the number of classes is taken from it if it is known.
        split: of a data set that is named; what is not is a split of its own, called as `split_of` says.

    Raises:
        UserError: it is none of these, or what is there cannot be used.
    """
    known, path = registry.catalog(), Path(given)
    split = split_of(path.name) if given not in known else split
    if given in known:
        return registry.load(given, split, roots, OPTION)
    if path.is_dir():
        return _folder(path, like, split)
    if not path.is_file():
        fix = FORMS if path.suffix or path.parent != Path() else f"{nearest(given, known)} {FORMS}"
        raise UserError(f"there is no data set, file or folder '{given}'", where=OPTION, fix=fix)
    if path.suffix == ".npz":
        x, y = read_npz(path)
    elif path.name.endswith("_X.npy"):
        labels = path.with_name(f"{path.name.removesuffix('_X.npy')}_Y.npy")
        x, y = read_npy(path), read_npy(labels)
    else:
        raise UserError(f"'{given}' is no file of images and classes", where=OPTION, fix=FORMS)
    try:
        return registry.given(like, split, channels_first(x), y)
    except UserError as error:
        raise UserError(error.what, where=path, fix=FORMS) from None


def split_of(name: str) -> str:
    """What images of one's own are called in place of a split, in a word: `own:mine.npz`."""
    return f"own:{'_'.join(name.split())}"


def _folder(path: Path, like: str, split: str) -> Samples:
    files = scan(path)
    if not files:
        raise UserError("it holds no folders", where=path, fix="Make one folder for each class, with its images.")
    known = registry.catalog().get(like)
    if known and len(files) != known.num_classes:
        found = f"it holds {len(files)} folders, but {like} has {known.num_classes} classes"
        fix = f"Make one folder for each class, in alphabetical order. {OTHER_CLASSES}"
        raise UserError(found, where=path, fix=fix)
    x, y = of_folders(path, [(name, label) for label, name in enumerate(files)], files, None)
    x = pictures(path, x.names, None, grey=None)
    return registry.samples(like, split, x, y, len(files))


def arrays(data: object) -> list[np.ndarray]:
    """Images and classes as arrays.

    Raises:
        UserError: they are not two, or no arrays.
    """
    fix = "Give data = (x, y): images in [0, 1] (n, c, h, w), and classes (n,)."
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UserError(f"it is a {type(data).__name__}, expected a pair", where="data", fix=fix)
    try:
        return [_array(part) for part in data]
    except (TypeError, ValueError) as error:
        raise UserError(f"it is no array: {error}", where="data", fix=fix) from None


def _array(part: Any) -> np.ndarray:
    if isinstance(part, Tensor):
        return part.detach().cpu().numpy()
    array = np.asarray(part)
    # Numbers in lists have no precision of their own; arrays have, and would silently lose it.
    return array.astype(np.float32) if array.dtype == float and not hasattr(part, "dtype") else array
