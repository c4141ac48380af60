"""Where the files of a TensorFlow checkpoint are: by its prefix, one of its files, their folder, or an archive."""

import re
import zipfile
import zlib
from importlib.resources.abc import Traversable
from pathlib import Path

import torch
from torch import Tensor

from robeval import shelf
from robeval.errors import UserError
from robeval.zoo import tensorflow
from robeval.zoo.sorted_table import MAGIC

KIND = "TensorFlow checkpoint, version 2"
INDEX = ".index"
LATEST = "checkpoint"  # the text file in which TensorFlow names the latest one
NAMES = b"model_checkpoint_path:"  # how it begins
# What an archive may hold: so many bytes for one of its own, as weights hardly shrink, or so many in all.
UNPACKED, SMALL = 20, 1 << 26


def index(path: Path) -> Path:
    """The `.index` of the checkpoint that the path names; of anything else the path itself.

    Raises:
        UserError: it is a folder with several, none of which its file `checkpoint` names, or a part without its index.
    """
    with shelf.reading(path):
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return _whole(path)
        beside = path.with_name(path.name + INDEX)
        return beside if beside.is_file() else path


def holds(path: Path) -> bool:
    """Whether the file is the index of a TensorFlow checkpoint, or a zip archive that holds one."""
    return path.suffix == INDEX or bool(_archived(path))


def read(path: Path) -> dict[str, Tensor] | None:
    """The variables of the checkpoint with this `.index`, or of the one in this zip archive; None if it is neither.

    Raises:
        UserError: it cannot be read; an archive holds several; it is of version 1.
    """
    if path.suffix == INDEX:
        return _tensors(path.parent, path.name.removesuffix(INDEX))
    if names := _archived(path):
        return _from_archive(path, names)
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(MAGIC), 0))
        if file.read() == MAGIC:
            fix = (
                "Restore it in TensorFlow and save it there with `tf.train.Saver().save(...)`, which writes version 2."
            )
            raise UserError("this is a TensorFlow checkpoint of version 1, which is not read here", where=path, fix=fix)
    return None


def parts(path: Path) -> list[Path]:
    """The index and the data files of a checkpoint by its `.index`; any other file alone.

    Raises:
        UserError: one is missing or the index cannot be read.
    """
    if path.suffix != INDEX:
        return [path]
    with shelf.reading(path):
        names = [part.name for part in tensorflow.files(path.parent, path.name.removesuffix(INDEX))]
    return [path.with_name(name) for name in names]


def _archived(path: Path) -> list[str]:
    """The indices in a zip archive; none in any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if name.endswith(INDEX)]
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return []


def _from_archive(path: Path, names: list[str]) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
            if declared > max(UNPACKED * path.stat().st_size, SMALL):
                raise zipfile.BadZipFile(
                    f"its entries declare {declared} bytes, more than weights can be packed into it"
                )
            beside = names[0].rpartition("/")[0] + "/" + LATEST
            text = archive.read(beside) if beside in archive.namelist() else b""
            folder, slash, name = _chosen(names, text, path).rpartition("/")
            return _tensors(zipfile.Path(archive, folder + slash), name.removesuffix(INDEX))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        found = f"this archive is cut, damaged or locked: {str(error)[:200]}"
        raise UserError(found, where=path, fix="Get it again, or unpack it and give the checkpoint.") from None


def _tensors(folder: Traversable, prefix: str) -> dict[str, Tensor]:
    return {name: torch.from_numpy(numbers) for name, numbers in tensorflow.read(folder, prefix).items()}


def _whole(path: Path) -> Path:
    """The index of the checkpoint that a file is a part of; the file itself if it is none."""
    if path.name == LATEST:
        with path.open("rb") as file:
            return _in_folder(path.parent) if file.read(len(NAMES)) == NAMES else path
    part = re.fullmatch(r"(.+)\.(meta|data-\d{5}-of-\d{5})", path.name)
    if part is None:
        return path
    found = path.with_name(part[1] + INDEX)
    if not found.is_file():
        fix = f"Put {found.name}, which says what is where in it, beside it."
        raise UserError("this is a part of a TensorFlow checkpoint", where=path, fix=fix)
    return found


def _in_folder(folder: Path) -> Path:
    """The index of the folder's latest or only checkpoint; the folder if it has none."""
    names = sorted(path.name for path in folder.glob(f"*{INDEX}"))
    text = b""
    if (folder / LATEST).is_file():
        with (folder / LATEST).open("rb") as file:
            text = file.read(1 << 16)
    return folder / _chosen(names, text, folder) if names else folder


def _chosen(names: list[str], text: bytes, where: Path) -> str:
    """Of several indices the one that TensorFlow's text file names."""
    if named := re.match(NAMES + rb' *"([^"\n]+)"', text):
        # Where it was trained it may have had another folder: the name counts.
        latest = re.split(r"[/\\]", named[1].decode(errors="replace"))[-1] + INDEX
        names = [name for name in names if name.rpartition("/")[2] == latest] or names
    if len(names) > 1:
        listed = ", ".join(name.removesuffix(INDEX)[-60:] for name in names[:6]) + (", ..." if len(names) > 6 else "")
        found = f"this holds {len(names)} TensorFlow checkpoints: {listed}"
        raise UserError(found, where=where, fix="Give the path of one, without `.index`; unpack an archive for that.")
    return names[0]
