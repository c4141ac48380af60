"""Where the files of a TensorFlow checkpoint are: by its prefix, one of its files, or their folder."""

import re
from pathlib import Path

from robeval import shelf
from robeval.errors import UserError
from robeval.zoo import tensorflow

INDEX = ".index"
LATEST = "checkpoint"  # the text file in which TensorFlow names the latest one
NAMES = b"model_checkpoint_path:"  # how it begins


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


def chosen(names: list[str], text: bytes, where: Path) -> str:
    """Of several indices the one that TensorFlow's text file names.

    Raises:
        UserError: it names none of them.
    """
    if named := re.match(NAMES + rb' *"([^"\n]+)"', text):
        # Where it was trained it may have had another folder: the name counts.
        latest = re.split(r"[/\\]", named[1].decode(errors="replace"))[-1] + INDEX
        names = [name for name in names if name.rpartition("/")[2] == latest] or names
    if len(names) > 1:
        listed = ", ".join(name.removesuffix(INDEX)[-60:] for name in names[:6]) + (", ..." if len(names) > 6 else "")
        found = f"this holds {len(names)} TensorFlow checkpoints: {listed}"
        raise UserError(found, where=where, fix="Give the path of one, without `.index`; unpack an archive for that.")
    return names[0]


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
    return folder / chosen(names, text, folder) if names else folder
