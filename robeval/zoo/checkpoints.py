"""Files of weights: finding one, checking it and reading it. Nothing in a file is ever executed."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from robeval import shelf
from robeval.errors import UserError
from robeval.fetch.download import record, recorded
from robeval.values.card import ModelCard
from robeval.zoo import bundles
from robeval.zoo.formats import registry as formats
from robeval.zoo.formats.refusals import AGAIN, damaged
from robeval.zoo.wrapped import Unwrapped, state_dict


def locate(card: ModelCard, given: Path | None) -> Path:
    """The card's file of weights: the given one, else beside the card, in `zoo/checkpoints`, or in the cache.

    Raises:
        UserError: there is none; says where it comes from and where to put it.
    """
    if given is not None:
        if (path := bundles.index(given)).is_file():
            return path
        found = f"{given} is a folder" if given.is_dir() else f"there is no file {given}"
        raise UserError(found, where="--checkpoint", fix="Give the path of a file of weights.")
    where = card.where or f"card '{card.id}'"
    train = f"run `robeval train {card.id}`, which makes it, or " if card.training else ""
    if card.checkpoint is None:
        fix = f"{train}give one with `--checkpoint FILE`, or name it in a section [checkpoint]."
        raise UserError("the card names no file of weights", where=where, fix=fix[0].upper() + fix[1:])
    name, source = card.checkpoint.file, card.checkpoint.source or card.checkpoint.url
    places = folders(card)
    for folder in places:
        if (path := bundles.index(folder / name)).is_file():
            return path
    get = f"get it from {source} and put it" if source else "put it"
    if member := card.checkpoint.member:
        get = f"get {member}.* out of the archive at {source} and put it, as {Path(name).stem}.*,"
    ways = f"{train}{get} into {places[-1]}, or give it with `--checkpoint FILE`."
    raise UserError(
        f"its file of weights, {name}, is in none of: {', '.join(map(str, places))}",
        where=where,
        fix=ways[0].upper() + ways[1:],
    )


def known_sha256(card: ModelCard) -> tuple[str, str]:
    """The checksum of a card's weights; and who says it: the card, a record of its first use, or nobody, in words."""
    name = card.checkpoint.file if card.checkpoint else ""
    for folder in folders(card) if name else ():
        path = bundles.index(folder / name)
        if path.is_file():
            if told := pinned(card, path):
                return told, "the card"
            return (told, "recorded when first fetched or used") if (told := recorded(path)) else ("", "nobody")
    return (card.checkpoint.sha256, "the card") if card.checkpoint and card.checkpoint.sha256 else ("", "nobody")


def whereabouts(card: ModelCard) -> str:
    """Where a card's weights are.

    "here", "at URL" (where they can be fetched from), "by hand" (at a source that only a person can get them from), "to
    train" (by `robeval train`), or "not here".
    """
    name = card.checkpoint.file if card.checkpoint else ""
    if name and any(bundles.index(folder / name).is_file() for folder in folders(card)):
        return "here"
    if card.checkpoint and (card.checkpoint.url or card.checkpoint.source):
        return "at URL" if card.checkpoint.url else "by hand"
    return "to train" if card.training else "not here"


def sha256(path: Path) -> str:
    """The checksum of a file, 64 hexadecimal digits; of a TensorFlow checkpoint that of its index and its data files.

    `cat X.index X.data-* | sha256sum` prints the latter.
    """
    total = hashlib.sha256()
    for part in bundles.parts(path):
        with shelf.reading(part), part.open("rb") as file:
            hashlib.file_digest(file, lambda: total)
    return total.hexdigest()


def verify(card: ModelCard, path: Path) -> str:
    """The file's sha256, which has to be the card's if the card names one, else what it was when first used.

    That is recorded in `<file>.sha256`, for released files in the cache, where people and `fetch` put them.

    Raises:
        UserError: it is another, or the file is plainly none of weights.
    """
    refuse_strangers(path)
    found = sha256(path)
    expected = pinned(card, path)
    known, says = expected or recorded(path), f"the card {card.where or card.id} expects"
    fix = "Get the file again. To evaluate other weights, copy the card and take out or replace its sha256."
    if not expected:
        says = f"{path.name}.sha256, made when it was first fetched or used, says"
        fix = f"Get the file again; if it is the one you want, delete {path}.sha256."
    if known and found != known:
        raise UserError(f"the sha256 of the file is {found}, but {says} {known}", where=path, fix=fix)
    if not known and path.parent == folders(card)[-1] and card.checkpoint and card.checkpoint.source:
        with suppress(OSError):  # where nobody may write, nothing is kept
            record(path, found)
    return found


def pinned(card: ModelCard, path: Path) -> str:
    """The sha256 that the card names for this file; empty where it names none.

    That of an archive says nothing about the files unpacked from it.
    """
    if card.checkpoint is None or (card.checkpoint.file.endswith(".zip") and path.suffix == bundles.INDEX):
        return ""
    return card.checkpoint.sha256


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by name, on the CPU; as `unwrap`, without its notes."""
    return unwrap(path).weights


def unwrap(path: Path, key: str = "") -> Unwrapped:
    """The weights in a file, by name, on the CPU, as its format in `formats/` says; and notes on which they are.

    Args:
        key: of the entry that holds them, if the file has several that might.

    Raises:
        UserError: the file is cut, damaged, of another kind, holds no weights, or would have to execute code.
    """
    path = bundles.index(path)
    refuse_strangers(path)
    found = state_dict(formats.of(path).read(path), path, key)
    if len(found.weights) > formats.MOST:
        raise damaged(path, f"it holds {len(found.weights)} tensors, more than any network")
    return found


def kind(path: Path) -> str:
    """How a file of weights that can be read was written."""
    return formats.of(path).name


def folders(card: ModelCard) -> list[Path]:
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
