"""Getting a card's weights: from where they lie, or from where the card says they are on the web."""

from pathlib import Path

from robeval.errors import FetchError, UserError
from robeval.fetch.download import Listen, download
from robeval.fetch.unpack import unpack
from robeval.values.card import ModelCard
from robeval.values.remote import Remote
from robeval.zoo.checkpoints import folders, locate


def obtain(card: ModelCard, given: Path | None, listen: Listen | None = None) -> Path:
    """What `locate` finds; if there is nothing and the card says where the file is on the web, it is fetched.

    Args:
        listen: told how much has come.

    Raises:
        UserError: there is none, or it cannot be had; as `locate` says it.
    """
    try:
        return locate(card, given)
    except UserError as error:
        if given is not None or card.checkpoint is None or not card.checkpoint.url:
            raise
        lacking = error
    try:
        return fetch(card, listen)
    except UserError as error:
        raise FetchError(f"{lacking.what}; {error.what}", where=lacking.where, fix=lacking.fix) from None


def fetch(card: ModelCard, listen: Listen | None = None) -> Path:
    """The card's file of weights, fetched into the cache from where the card says.

    Raises:
        FetchError: it cannot be had, or is not what the card says.
        UserError: the card says nowhere, or the archive it names cannot be unpacked.
    """
    about, where = card.checkpoint, card.where or f"card '{card.id}'"
    if about is None or not about.url:
        found = "the card has no 'url' in [checkpoint], so its weights cannot be fetched"
        source = f" They are at {about.source}." if about and about.source else ""
        raise UserError(found, where=where, fix=f"Give a file with `--checkpoint FILE`, or add a 'url'.{source}")
    path = folders(card)[-1] / about.file
    sha256 = about.archive_sha256 if about.member else about.sha256
    name = f"{about.file}.archive" if about.member else about.file
    remote = Remote(name, about.url, about.size, f"sha256:{sha256}" if sha256 else "")
    fix = f"Get it from {about.source or about.url} and put it into {path.parent}."
    download(remote, path.with_name(name), fix, listen)
    if about.member:
        _unpack(path.with_name(name), about.member, path)
    return path


def _unpack(archive: Path, member: str, path: Path) -> None:
    """The wanted entries of an archive, beside each other under the name of `path`."""

    def place(name: str) -> str | None:
        rest = name.removeprefix("./").removeprefix(member)
        wanted = name.removeprefix("./").startswith(member) and rest[:1] in ("", ".") and "/" not in rest
        return f"{path.stem}{rest}" if wanted else None

    unpack(archive, place, path.parent)
    archive.unlink()
    if not path.is_file():
        found = f"the archive has no entry {member}{path.suffix}"
        raise UserError(found, where=path, fix="Mend 'file' and 'member' in the card's [checkpoint].")
