"""One file from the web: whole and checked, or not there at all."""

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from robeval.errors import FetchError
from robeval.values.remote import Remote
from robeval.whole import write_whole

# Told the name of a file, how many bytes of it have come, and how many there are if that is known.
Listen = Callable[[str, int, int | None], None]

TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
RETRIES = 2  # of a connection that breaks; each goes on where the one before stopped


def download(remote: Remote, path: Path, fix: str, listen: Listen | None = None) -> str:
    """Fetch a file to `path`; its sha256.

    The bytes are kept in hidden files beside `path` until they are all there and have the published size and
    checksum, so a cut or wrong file never has the final name, and the next call goes on where this one stopped. Where
    no checksum is published, the sha256 is recorded in `<path>.sha256`, and what comes later has to agree with it.

    Args:
        fix: what a person can do instead, for the error.

    Raises:
        FetchError: there is no network, the server refuses, or what came is not the file.
    """
    if os.environ.get("ROBEVAL_OFFLINE", "0") not in ("", "0"):
        raise _failed(remote, "ROBEVAL_OFFLINE forbids to use the network", fix)
    if not remote.url.startswith(("https://", "http://")):
        raise _failed(remote, "this is no address of the web", fix)
    draft = path.with_name(f".{path.name}.fetched")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _transfer(remote, draft, fix, listen)
        found = _checked(remote, draft, path, fix)
        draft.replace(path)
    except OSError as error:
        raise _failed(remote, f"it cannot be written into {path.parent}: {error.strerror or error}", fix) from None
    if not remote.checksum and not recorded(path):
        record(path, found)
    return found


def record(path: Path, sha256: str) -> None:
    """Keep the sha256 of a file, `<path>.sha256`, for `recorded`; as `sha256sum` writes it."""
    write_whole(_record(path), f"{sha256}  {path.name}\n".encode())


def recorded(path: Path) -> str:
    """The sha256 that was recorded when the file was first fetched; empty if there is none."""
    try:
        words = _record(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return ""
    return words[0] if words and re.fullmatch("[0-9a-f]{64}", words[0]) else ""


def is_page(head: bytes) -> bool:
    """Whether a file that begins like this is a web page."""
    return bool(re.match(rb"(\xef\xbb\xbf)?\s*<(!--|!DOCTYPE|html|head|body|script|\?xml)", head, re.IGNORECASE))


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _transfer(remote: Remote, draft: Path, fix: str, listen: Listen | None) -> None:
    """The bytes as they come into `draft`; what has come before is gone on with where the server can do that."""
    import gdown

    def tell(done: int, total: int | None) -> None:
        if remote.size and done > remote.size:
            raise gdown.exceptions.DownloadError(f"it is larger than the {remote.size} bytes that are published")
        if listen:
            listen(remote.name, done, total or remote.size or None)

    begun = _parts(draft)
    try:
        gdown.download(
            remote.url, str(draft), quiet=True, use_cookies=False, resume=True,
            progress=tell, timeout=TIMEOUT, retries=RETRIES,
        )  # fmt: skip
    # The library lets through whatever its own raise: RequestException is an OSError, and a KeyError comes of an
    # answer that lacks a header.
    except (gdown.exceptions.DownloadError, OSError, KeyError, ValueError) as error:
        if _is_spoilt(error) or not any(part.stat().st_size for part in _parts(draft)):
            _discard(draft)
        if begun and _is_spoilt(error):  # the server cannot go on with what there was: once more from the start
            return _transfer(remote, draft, fix, listen)
        raise _failed(remote, _reason(error), fix) from None
    return None


def _parts(draft: Path) -> list[Path]:
    """What the library has kept of a download that stopped."""
    return [each for each in draft.parent.glob(f"{draft.name}*.part") if each.is_file()]


def _discard(draft: Path) -> None:
    for each in (draft, *_parts(draft)):
        with suppress(OSError):
            each.unlink(missing_ok=True)


def _checked(remote: Remote, draft: Path, path: Path, fix: str) -> str:
    """The sha256 of what came; it is thrown away if it is not the file."""
    size, before = draft.stat().st_size, recorded(path)
    kind, _, expected = (remote.checksum or (f"sha256:{before}" if before else "sha256:")).partition(":")
    with draft.open("rb") as file:
        page = is_page(file.read(512))
        file.seek(0)
        found = hashlib.file_digest(file, kind).hexdigest()
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    wrong = ""
    if page and found != expected:
        wrong = "a web page came in place of the file, as where too many people have fetched it today or it is gone"
    elif not size:
        wrong = "an empty file came"
    elif remote.size and size != remote.size:
        wrong = f"{size} bytes came, expected {remote.size}"
    elif expected and found != expected:
        known = "published"
        if not remote.checksum:
            known = f"recorded when it was first fetched (delete {_record(path)} if you want what is there now)"
        wrong = f"what came has the {kind} {found}, but {expected} is {known}"
    if wrong:
        _discard(draft)
        raise _failed(remote, wrong, fix)
    return sha256


def _is_spoilt(error: Exception) -> bool:
    """Whether what has come so far is of no use to the next call."""
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    if not isinstance(error, DownloadError) or isinstance(error, FileURLRetrievalError):
        return False
    return not re.search("incomplete|retries", str(error))


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    import requests

    cause = error if isinstance(error, requests.RequestException) else error.__cause__
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return f"the server answered {cause.response.status_code} {cause.response.reason}"
    if isinstance(cause, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(cause, requests.ConnectionError):
        return "there is no connection to the server"
    said = " ".join(str(error).split()) or type(error).__name__
    if "retrieve file url" in said:
        return "Google Drive gives a page in place of the file: too many people have fetched it today, or it is gone"
    return said.removeprefix("Download is incomplete: ").split(". ")[0].split(".The ")[0][:200]


def _failed(remote: Remote, reason: str, fix: str) -> FetchError:
    return FetchError(f"{remote.name} could not be fetched from {remote.url}: {reason}", fix=fix)
