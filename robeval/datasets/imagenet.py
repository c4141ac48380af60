"""ImageNet (ILSVRC 2012), from a folder with one folder for each class."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import missing
from robeval.datasets.pictures import Crop, Pictures, of_folders, scan
from robeval.datasets.registry import dataset
from robeval.errors import UserError

SOURCE = "https://image-net.org/challenges/LSVRC/2012/ (its owners give it to those who register)"
CLASSES = 1000
CROP, SMALL = Crop(256, 224), Crop(72, 64)  # the published preprocessings
SIZES = {"train": 1_281_167, "test": 50_000}
FOLDERS = {"train": ("train",), "test": ("val", "validation")}


@dataset("imagenet", sizes=SIZES, num_classes=CLASSES)
def imagenet(split: str, roots: tuple[Path, ...]) -> tuple[Pictures, NDArray[np.int64]]:
    """Photographs of a thousand kinds of thing, at 224x224 (Russakovsky et al., 2015); 50,000 to test with.

    The test images are those of the validation set, in the order of their file names. The shorter side is resized
    to 256, and the centre cut out. Each root is searched for `imagenet/`, `ILSVRC2012/` and itself, with the folders
    `train/` and `val/`, which hold a folder for each of the 1,000 synsets (n01440764, ...).
    """
    return _read("imagenet", split, roots, CROP)


@dataset("imagenet_64", sizes=SIZES, num_classes=CLASSES)
def imagenet_64(split: str, roots: tuple[Path, ...]) -> tuple[Pictures, NDArray[np.int64]]:
    """Photographs of a thousand kinds of thing, at 64x64, prepared as Yang et al. (2020) did their restricted ones.

    From the same folders; the shorter side is resized to 72, and the centre cut out.
    """
    return _read("imagenet_64", split, roots, SMALL)


def _read(name: str, split: str, roots: tuple[Path, ...], crop: Crop) -> tuple[Pictures, NDArray[np.int64]]:
    folder, files = find(name, split, roots)
    if len(files) != CLASSES:
        raise wrong_folders(folder, files, "the 1,000 synsets")
    classes = [(name, label) for label, name in enumerate(files)]
    return of_folders(folder, classes, files, crop, by_name=split == "test")


def find(
    name: str, split: str, roots: tuple[Path, ...], own: tuple[str, ...] = ()
) -> tuple[Path, dict[str, list[str]]]:
    """The folder of a split, and its images by class folder.

    Args:
        own: further folders that are looked for below each root, before ImageNet's.

    Raises:
        UserError: there is none.
    """
    places = (*own, "imagenet", "ILSVRC2012", "")
    folders = [root / place / part for root in roots for place in places for part in FOLDERS[split]]
    for folder in folders:
        if folder.is_dir():
            return folder, scan(folder)
    raise missing(name, [f"the folder {FOLDERS[split][0]}/"], folders, SOURCE, fetched=False)


def wrong_folders(folder: Path, files: dict[str, list[str]], expected: str) -> UserError:
    """The error of a folder whose folders are not the classes."""
    some = ", ".join(list(files)[:3]) + (", ..." if len(files) > 3 else "")
    found = f"it holds {len(files)} folders ({some}), expected one for each of {expected}"
    return UserError(found, where=folder, fix="Sort the images into one folder for each class.")
