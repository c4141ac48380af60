"""A file that is to be had from the web."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a file is, and what is published of it.

    Attributes:
        name: what it is called here.
        url: http, https, or a link of Google Drive, `https://drive.google.com/uc?id=...`.
        size: in bytes, 0 where none is published.
        checksum: `md5:` or `sha256:` and hexadecimal digits, empty where none is published.
    """

    name: str
    url: str
    size: int = 0
    checksum: str = ""
