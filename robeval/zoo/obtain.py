"""Getting a card's weights: from where they lie, or from where the card says they are on the web."""

import re
from pathlib import Path

from robeval.errors import FetchError, UserError
from robeval.fetch.download import Listen, download, record, recorded
from robeval.fetch.unpack import names, unpack
from robeval.values.card import ModelCard
from robeval.values.remote import Remote
from robeval.zoo.bundles import INDEX, index
from robeval.zoo.checkpoints import folders, locate, sha256
from robeval.zoo.layouts import listed


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
    except FetchError as error:
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
    fix = f"Get it from {about.source or about.url} and put it into {path.parent}."
    if not about.member:
        download(Remote(about.file, about.url, about.size, _published(about.sha256)), path, fix, listen)
        return path
    archive = path.with_name(f"{about.file}.archive")
    if not archive.is_file():  # it is kept where what is wanted was not found in it
        download(Remote(archive.name, about.url, about.size, _published(about.archive_sha256)), archive, fix, listen)
    wanted = _wanted(archive, about.member, path)
    unpack(archive, wanted.get, path.parent)
    archive.unlink()
    path = index(path)
    if not about.sha256 and not recorded(path):
        record(path, sha256(path))
    return path


def _published(checksum: str) -> str:
    return f"sha256:{checksum}" if checksum else ""


def _wanted(archive: Path, member: str, path: Path) -> dict[str, str]:
    """The entries of an archive that begin with `member`, in whichever folder; each with its name beside `path`.

    Raises:
        UserError: there are none, or those of several folders or several files.
    """
    begin = "[^/.]*".join(map(re.escape, member.split("*")))
    pattern = re.compile(rf"((?:.*/)?{begin})((?:\.[^/]*)?)")
    within = names(archive)
    matches = [match for name in within if (match := pattern.fullmatch(name)) and (match[2] or "*" not in member)]
    begins = sorted({match[1].removeprefix("./") for match in matches})
    found = {match[0]: f"{path.stem}{match[2]}" for match in matches}
    fix = "Mend 'file' and 'member' in the card's [checkpoint]; what was fetched is kept."
    if len(begins) > 1:
        raise UserError(f"'member' {member} fits several files: {listed(begins)}", where=archive, fix=fix)
    if not {path.name, f"{path.name}{INDEX}"} & set(found.values()):
        others = [name for name in within if name.endswith(INDEX)]
        has = f"; its checkpoints are {listed(others)}" if others else ""
        suffix = path.suffix or INDEX
        raise UserError(f"the archive has no entry {member}{suffix}{has}", where=archive, fix=fix)
    return found
