"""Image files in folders, decoded when they are asked for, so that only a slice of them is ever in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robeval.errors import UserError
from robeval.shelf import reading

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff"))
MODES = {"1": "L", "L": "L"}  # Pillow's names for grey; whatever else has 8 bits becomes RGB
DEEP = ("I", "F", "I;")  # and for more than 8 bits
AGAIN = "Get the file again, or take it out."


class Crop(NamedTuple):
    """The preprocessing of ImageNet's papers: the shorter side is resized, bilinearly, and the centre is cut out."""

    shorter: int
    side: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images that are read from their files again each time; like an array uint8 (n, c, h, w).

    Attributes:
        root: the folder that names are relative to.
        crop: how they get their size; None if they have it.
        image: channels, height and width of each.
    """

    root: Path
    names: tuple[str, ...]
    crop: Crop | None
    image: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As an array of all would have it."""
        return (len(self.names), *self.image)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """The images of some rows, (m, c, h, w).

        Raises:
            UserError: a file cannot be decoded, or has another size than the first.
        """
        names = self.names[rows]
        found = np.empty((len(names), *self.image), dtype=np.uint8)
        for place, name in enumerate(names):
            found[place] = self._decode(self.root / name)
        return found

    def whole(self, row: int) -> NDArray[np.uint8]:
        """One image with what is around it, (c, h', w'): resized as `crop` says, and not cut.

        Raises:
            UserError: its file cannot be decoded.
        """
        return decode(self.root / self.names[row], self.crop, grey=self.image[0] == 1, cut=False)

    def take(self, rows: NDArray[np.int64]) -> "Pictures":
        """Those in some places."""
        return replace(self, names=tuple(self.names[row] for row in rows))

    def identity(self) -> str:
        """What tells these images from others as far as that can be told without reading them all: the names and
        sizes of the files, how they are prepared, and the version of what decodes them.

        Raises:
            UserError: a file is not there.
        """
        import PIL

        sizes = []
        for name in self.names:
            with reading(self.root / name):
                sizes.append((name, (self.root / name).stat().st_size))
        return f"{self.crop} {self.image} Pillow {PIL.__version__} {sizes}"

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        pixels = decode(path, self.crop, grey=self.image[0] == 1)
        if pixels.shape != self.image:
            found = "x".join(map(str, pixels.shape))
            expected = "x".join(map(str, self.image))
            raise UserError(f"the image is {found}, but the first one is {expected}", where=path, fix=AGAIN)
        return pixels


def decode(path: Path, crop: Crop | None, grey: bool | None = None, cut: bool = True) -> NDArray[np.uint8]:
    """The image in a file, uint8 (c, h, w).

    Args:
        cut: whether the centre is cut out after the shorter side is resized.
        grey: whether it is to have one channel or three; as the file has it if None.

    Raises:
        UserError: the file cannot be read or decoded, or is far larger than any photograph.
    """
    import PIL.Image

    try:
        with reading(path):
            content = path.open("rb")
        with content, PIL.Image.open(content) as image:
            if image.mode.startswith(DEEP):
                raise UserError(f"the image has the mode {image.mode}, expected 8 bits", where=path, fix=AGAIN)
            wanted = MODES.get(image.mode, "RGB") if grey is None else ("L" if grey else "RGB")
            pixels = np.asarray(_cut(image.convert(wanted), crop, cut))
    except UserError:
        raise
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        reason = str(error).split(" <")[0].replace(str(path), "").strip() or type(error).__name__
        raise UserError(f"the image is cut or damaged: {reason[:200]}", where=path, fix=AGAIN) from None
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _cut(image: "Image", crop: Crop | None, cut: bool) -> "Image":
    if crop is None:
        return image
    from PIL.Image import Resampling

    width, height = image.size
    short, side = min(width, height), crop.side
    # The longer side is cut down to whole pixels, and the centre rounded, as torchvision does both.
    width, height = (crop.shorter * length // short for length in (width, height))
    left, top = (round((length - side) / 2) for length in (width, height))
    resized = image.resize((width, height), Resampling.BILINEAR)
    return resized if not cut else resized.crop((left, top, left + side, top + side))


def scan(folder: Path) -> dict[str, list[str]]:
    """The image files in each folder of `folder`, by its name; both in alphabetical order. Hidden ones are left out.

    Raises:
        UserError: a folder cannot be read.
    """
    found = {}
    with reading(folder):
        for each in sorted(folder.iterdir()):
            if each.is_dir() and not each.name.startswith("."):
                found[each.name] = sorted(file.name for file in each.iterdir() if is_image(file.name))
    return found


def is_image(name: str) -> bool:
    """Whether a file is an image, by its name."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def of_folders(
    root: Path,
    classes: Sequence[tuple[str, int]],
    files: dict[str, list[str]],
    crop: Crop | None,
    by_name: bool = False,
) -> tuple[Pictures, NDArray[np.int64]]:
    """The images of some folders and their classes, int64 (n,).

    Args:
        classes: folders, and the class of what is in each.
        files: as `scan` gives them.
        by_name: in the order of the files' names, and not folder by folder.

    Raises:
        UserError: there is no image, or the first cannot be decoded.
    """
    listed = [(name, f"{folder}/{name}", label) for folder, label in classes for name in files[folder]]
    if by_name:
        listed.sort()
    if not listed:
        found = f"no images in its {len(classes)} class folders"
        raise UserError(found, where=root, fix=f"Put images into them: {', '.join(sorted(SUFFIXES))}.")
    names = tuple(path for _, path, _ in listed)
    return pictures(root, names, crop), np.array([label for _, _, label in listed], dtype=np.int64)


def pictures(root: Path, names: tuple[str, ...], crop: Crop | None, grey: bool | None = False) -> Pictures:
    """The images in some files; they all have the size of the first, or get that of `crop`.

    Args:
        grey: whether they are to have one channel; as the first file has it if None.
    """
    if crop and grey is False:
        return Pictures(root, names, crop, (3, crop.side, crop.side))
    channels, height, width = decode(root / names[0], crop, grey).shape
    return Pictures(root, names, crop, (channels, height, width))
