"""Tiny ImageNet: 200 of ImageNet's classes at 64x64."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.files import Download, damaged, missing
from robeval.datasets.pictures import Pictures, is_image, pictures
from robeval.datasets.registry import dataset
from robeval.shelf import reading
from robeval.values.remote import Remote

SOURCE = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
CLASSES = 200
ARCHIVE = Remote("tiny-imagenet-200.zip", SOURCE, 248_100_043, "md5:90528d7ca1a48142e341f4ef8d21d0de")


@dataset(
    "tiny_imagenet",
    sizes={"train": 100_000, "test": 10_000},
    num_classes=CLASSES,
    downloads=[Download(ARCHIVE, "", tuple(f"{FOLDER}/{each}" for each in ("wnids.txt", "train/*", "val/*")))],
)
def tiny_imagenet(split: str, roots: tuple[Path, ...]) -> tuple[Pictures, NDArray[np.int64]]:
    """110,000 photographs, 64x64, of 200 kinds of thing, from ImageNet (Stanford, course CS231n); 10,000 to test with.

    The test images are those of the validation set, in the order of its list, `val_annotations.txt`. Classes are
    counted in the alphabetical order of their synsets, as the folders of training images are. Each root is searched
    for `tiny-imagenet-200/`.
    """
    folders = [root / FOLDER for root in roots]
    names = [f"{FOLDER}/wnids.txt", f"{FOLDER}/{'val/val_annotations.txt' if split == 'test' else 'train/'}"]
    folder = next((each for each in folders if all((each.parent / name).exists() for name in names)), None)
    if folder is None:
        raise missing("tiny_imagenet", names, folders, SOURCE)
    synsets = sorted(line.strip() for line in _lines(folder / "wnids.txt") if line.strip())
    if len(set(synsets)) != CLASSES:
        raise damaged(folder / "wnids.txt", f"it names {len(set(synsets))} classes, expected {CLASSES}", SOURCE)
    label = {synset: place for place, synset in enumerate(synsets)}
    listed = _validation(folder, label) if split == "test" else _training(folder, label)
    if not listed:
        raise damaged(folder, "it has no images", SOURCE)
    names = [name for name, _ in listed]
    return pictures(folder, tuple(names), None), np.array([place for _, place in listed], dtype=np.int64)


def _validation(folder: Path, label: dict[str, int]) -> list[tuple[str, int]]:
    """Each line of the list has a file, its class and four numbers, between tabs."""
    path, found = folder / "val" / "val_annotations.txt", []
    for number, line in enumerate(_lines(path), 1):
        name, _, rest = line.partition("\t")
        synset = rest.partition("\t")[0]
        if name != Path(name).name or not is_image(name) or synset not in label:
            raise damaged(path, f"line {number} is {line[:60]!r}, expected a file's name and its class", SOURCE)
        found.append((f"val/images/{name}", label[synset]))
    return found


def _training(folder: Path, label: dict[str, int]) -> list[tuple[str, int]]:
    found = []
    for synset, place in label.items():
        images = folder / "train" / synset / "images"
        with reading(images):
            names = [each.name for each in images.iterdir() if is_image(each.name)]
        # train/n01443537/images/n01443537_0.JPEG: in the order of the numbers
        found += [
            (f"train/{synset}/images/{name}", place) for name in sorted(names, key=lambda name: (len(name), name))
        ]
    return found


def _lines(path: Path) -> list[str]:
    with reading(path):
        content = path.read_bytes()
    try:
        return content.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise damaged(path, "it is no list of names", SOURCE) from None
