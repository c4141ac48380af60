"""What TensorFlow's `Saver` writes: an index and data files, in a folder or in a zip archive as they were released."""

import zipfile
import zlib
from importlib.resources.abc import Traversable
from pathlib import Path

import torch
from torch import Tensor

from robeval import shelf
from robeval.errors import UserError
from robeval.zoo import tensorflow
from robeval.zoo.bundles import INDEX, LATEST, chosen
from robeval.zoo.formats.archives import written_by
from robeval.zoo.formats.registry import file_format
from robeval.zoo.sorted_table import MAGIC

NAME = "TensorFlow checkpoint, version 2"
# What an archive may hold: so many bytes for one of its own, as weights hardly shrink, or so many in all.
UNPACKED, SMALL = 20, 1 << 26


def _begins(head: bytes, path: Path) -> bool:
    """Whether it is an index, an archive with one, or a checkpoint of version 1, a table of all that it holds."""
    return path.suffix == INDEX or written_by(head, path) == "TensorFlow" or (head[:1] == b"\0" and _is_table(path))


@file_format(NAME, _begins)
def read(path: Path) -> dict[str, Tensor]:
    """The variables of the checkpoint with this index, or of the one in this archive.

    Raises:
        UserError: it cannot be read; an archive holds several; it is of version 1.
    """
    if path.suffix == INDEX:
        with shelf.reading(path):
            return _tensors(path.parent, path.name.removesuffix(INDEX))
    if not _is_table(path):
        return _from_archive(path)
    fix = "Restore it in TensorFlow and save it there with `tf.train.Saver().save(...)`, which writes version 2."
    raise UserError("this is a TensorFlow checkpoint of version 1, which is not read here", where=path, fix=fix)


def _is_table(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(MAGIC), 0))
        return file.read() == MAGIC


def _from_archive(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(INDEX)]
            declared = sum(entry.file_size for entry in archive.infolist())
            if declared > max(UNPACKED * path.stat().st_size, SMALL):
                raise zipfile.BadZipFile(
                    f"its entries declare {declared} bytes, more than weights can be packed into it"
                )
            beside = names[0].rpartition("/")[0] + "/" + LATEST
            text = archive.read(beside) if beside in archive.namelist() else b""
            folder, slash, name = chosen(names, text, path).rpartition("/")
            return _tensors(zipfile.Path(archive, folder + slash), name.removesuffix(INDEX))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        found = f"this archive is cut, damaged or locked: {str(error)[:200]}"
        raise UserError(found, where=path, fix="Get it again, or unpack it and give the checkpoint.") from None


def _tensors(folder: Traversable, prefix: str) -> dict[str, Tensor]:
    return {name: torch.from_numpy(numbers) for name, numbers in tensorflow.read(folder, prefix).items()}
