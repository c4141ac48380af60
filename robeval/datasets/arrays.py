"""Arrays in .npy and .npz files; nothing in them is executed."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robeval.errors import UserError
from robeval.shelf import reading

# What an .npz file may unpack to: so many times its own size, or so many bytes more where it is small. Digits, which
# are mostly black, come to 30 as float64.
PACKED, SMALL = 50, 1 << 26
AGAIN = "Save it again with numpy.save or numpy.savez, without objects."


def read_npy(path: Path) -> NDArray[Any]:
    """The array in a .npy file.

    Raises:
        UserError: it cannot be read, is cut or damaged, or holds Python objects, which would have to be unpickled.
    """
    try:
        with reading(path):  # mapped first, since that tells a file that is shorter than it declares
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except UserError:
        raise
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise _damaged(path, error) from None


def read_npz(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """The arrays `x` and `y` in an .npz file, in capitals or not.

    Raises:
        UserError: it lacks one, cannot be read, is cut or damaged, or unpacks to far more than its size.
    """
    try:
        with reading(path), zipfile.ZipFile(path) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        wanted = [next((name for name in sizes if name.lower() == letter), None) for letter in "xy"]
        if None in wanted:
            found = f"it holds the arrays {', '.join(sizes) or 'none'}, expected x (images) and y (classes)"
            raise UserError(found, where=path, fix="Save it with numpy.savez(FILE, x=images, y=classes).")
        if sum(sizes.values()) > PACKED * path.stat().st_size + SMALL:
            raise ValueError(f"it unpacks to {sum(sizes.values())} bytes, more than images are packed into it")
        with np.load(path, allow_pickle=False) as arrays:
            x, y = (arrays[name] for name in wanted)
        if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)):  # numpy gives other things as bytes
            raise ValueError("x and y are no arrays")
        return x, y
    except UserError:
        raise
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise _damaged(path, error) from None


def channels_first(x: NDArray[Any]) -> NDArray[Any]:
    """Images (n, h, w) or (n, h, w, c) of one or three channels as (n, c, h, w); others as they are."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0][:200] if str(error).strip() else type(error).__name__
    if "pickle" in reason or "Array can't be memory-mapped" in reason:
        reason = "it holds Python objects, and loading them may execute code"
    return UserError(f"the arrays cannot be read: {reason}", where=path, fix=AGAIN)
