"""safetensors: a JSON header and raw numbers."""

from pathlib import Path

import safetensors.torch

from robeval.zoo.formats.refusals import brief, damaged
from robeval.zoo.formats.registry import file_format

LONGEST = 1 << 22  # bytes of a header, some hundred for each tensor


def _begins(head: bytes, path: Path) -> bool:
    """Eight bytes with the length of a JSON header; one of 4 GiB and more is believed only if the name says so."""
    return head[8:9] == b"{" and (head[4:8] == bytes(4) or path.suffix == ".safetensors")


@file_format("safetensors", _begins)
def read(path: Path) -> object:
    """The tensors by name.

    Raises:
        UserError: the file is cut or damaged.
    """
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > LONGEST:
        raise damaged(path, f"its header declares {header} bytes, more than any network needs")
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, brief(error)) from None
