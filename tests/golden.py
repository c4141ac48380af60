"""Texts that people are shown, compared with files; ROBEVAL_GOLDEN=write writes the files anew."""

import os
from pathlib import Path


def same(path: Path, text: str) -> None:
    """Assert that the text is the one in the file."""
    if os.environ.get("ROBEVAL_GOLDEN") == "write":
        path.write_bytes(text.encode())
    assert text == path.read_bytes().decode()
