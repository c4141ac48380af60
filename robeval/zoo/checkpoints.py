"""Files of weights: finding one, checking it and reading it. Nothing in a file is ever executed."""

import hashlib
import re
from pathlib import Path

from torch import Tensor

from robeval import shelf
from robeval.errors import UserError
from robeval.values.card import ModelCard
from robeval.zoo.formats import registry as formats
from robeval.zoo.formats.refusals import AGAIN
from robeval.zoo.layouts import state_dict


def locate(card: ModelCard, given: Path | None) -> Path:
    """The card's file of weights: the given one, else beside the card, in `zoo/checkpoints`, or in the cache.

    Raises:
        UserError: there is none; says where it comes from and where to put it.
    """
    if given is not None:
        if given.is_file():
            return given
        found = f"{given} is a folder" if given.is_dir() else f"there is no file {given}"
        raise UserError(found, where="--checkpoint", fix="Give the path of a file of weights.")
    where = card.where or f"card '{card.id}'"
    train = f"run `robeval train {card.id}`, which makes it, or " if card.training else ""
    if card.checkpoint is None:
        fix = f"{train}give one with `--checkpoint FILE`, or name it in a section [checkpoint]."
        raise UserError("the card names no file of weights", where=where, fix=fix[0].upper() + fix[1:])
    name, source = card.checkpoint.file, card.checkpoint.source
    folders = _folders(card)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    get = f"get it from {source} and put it" if source else "put it"
    ways = f"{train}{get} into {folders[-1]}, or give it with `--checkpoint FILE`."
    raise UserError(
        f"its file of weights, {name}, is in none of: {', '.join(map(str, folders))}",
        where=where,
        fix=ways[0].upper() + ways[1:],
    )


def sha256(path: Path) -> str:
    """The checksum of a file, 64 hexadecimal digits."""
    with shelf.reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(card: ModelCard, path: Path) -> str:
    """The file's sha256, which has to be the card's if the card names one.

    Raises:
        UserError: it is another, or the file is plainly none of weights.
    """
    refuse_strangers(path)
    found = sha256(path)
    expected = card.checkpoint.sha256 if card.checkpoint else ""
    if expected and found != expected:
        raise UserError(
            f"the sha256 of the file is {found}, but the card {card.where or card.id} expects {expected}",
            where=path,
            fix="Get the file again. To evaluate other weights, copy the card and take out or replace its sha256.",
        )
    return found


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by name, on the CPU; `formats/` says which files can be read.

    Raises:
        UserError: the file is cut, damaged, of another kind, holds no weights, or would have to execute code.
    """
    refuse_strangers(path)
    written = formats.of(path)
    with shelf.reading(path):
        data = path.read_bytes()
    return state_dict(written.read(data, path), path)


def kind(path: Path) -> str:
    """How a file of weights that can be read was written."""
    return formats.of(path).name


def _folders(card: ModelCard) -> list[Path]:
    """Where a card's weights may lie; people put them into the last one."""
    beside = [Path(card.where).parent.parent / "checkpoints", Path(card.where).parent] if card.where else []
    return [*beside, shelf.cache() / "checkpoints"]


def refuse_strangers(path: Path) -> None:
    """Raise a UserError for downloads that are no files of weights, told by how they begin."""
    with shelf.reading(path), path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise UserError("the file is empty (0 bytes), expected weights", where=path, fix=AGAIN)
    if re.match(rb"(\xef\xbb\xbf)?\s*<[A-Za-z!?]", head):
        raise UserError(
            "this is a web page, not weights: the download page was saved in place of the file",
            where=path,
            fix="Open the source in a browser and save the file itself.",
        )
    if head.startswith(b"version https://git-lfs"):
        raise UserError(
            "this is a git-lfs pointer, which stands for the weights and does not hold them",
            where=path,
            fix="Run `git lfs pull` in the repository it is from, and give the file again.",
        )
