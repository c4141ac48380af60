"""Restricted ImageNet (Tsipras et al., 2019, Table 1): nine groups of ImageNet's classes, in both published ways."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.imagenet import CLASSES, CROP, SMALL, find, wrong_folders
from robeval.datasets.pictures import Crop, Pictures, of_folders
from robeval.datasets.registry import dataset

# First and last of ImageNet's classes, counted from 0 in the alphabetical order of their synsets.
GROUPS = {
    "dog": (151, 268),
    "cat": (281, 285),
    "frog": (30, 32),
    "turtle": (33, 37),
    "bird": (80, 100),
    "primate": (365, 382),
    "fish": (389, 397),
    "crab": (118, 121),
    "insect": (300, 319),
}
SIZES = {"train": 0, "test": 10_150}  # 50 for each of the 203 synsets


@dataset("restricted_imagenet", sizes=SIZES, num_classes=9)
def restricted_imagenet(split: str, roots: tuple[Path, ...]) -> tuple[Pictures, NDArray[np.int64]]:
    """Photographs of nine kinds of animal, at 224x224, from ImageNet (Tsipras et al., 2019).

    The classes are in the order of the paper's table: dog, cat, frog, turtle, bird, primate, fish, crab, insect.
    Test images are those of ImageNet's validation set, in the order of their file names; the shorter side is resized
    to 256, and the centre cut out. The folders are ImageNet's, or nine of these names.
    """
    return _read("restricted_imagenet", split, roots, tuple(GROUPS), CROP)


@dataset("restricted_imagenet_64", sizes=SIZES, num_classes=9)
def restricted_imagenet_64(split: str, roots: tuple[Path, ...]) -> tuple[Pictures, NDArray[np.int64]]:
    """Photographs of nine kinds of animal, at 64x64, from ImageNet, as Yang et al. (2020) prepared them.

    The classes are in alphabetical order, bird to turtle; the shorter side is resized to 72, and the centre cut out.
    """
    return _read("restricted_imagenet_64", split, roots, tuple(sorted(GROUPS)), SMALL)


def _read(
    name: str, split: str, roots: tuple[Path, ...], order: tuple[str, ...], crop: Crop
) -> tuple[Pictures, NDArray[np.int64]]:
    folder, files = find(name, split, roots, own=("restricted_imagenet", "RestrictedImageNet"))
    if set(files) == set(GROUPS):
        classes = [(group, label) for label, group in enumerate(order)]
    elif len(files) == CLASSES:
        synsets = list(files)
        classes = [
            (synset, label)
            for label, group in enumerate(order)
            for synset in synsets[GROUPS[group][0] : GROUPS[group][1] + 1]
        ]
    else:
        raise wrong_folders(folder, files, f"the 1,000 synsets, or for each of {', '.join(sorted(GROUPS))}")
    return of_folders(folder, classes, files, crop, by_name=split == "test")
