"""What is said of files of weights that are refused."""

import re
from pathlib import Path

from robeval.errors import UserError

AGAIN = "Get the file again, and compare its size with that at its source."
SAFE = (
    "Load it where it was made, save only its weights there with `torch.save(model.state_dict(), FILE)`, "
    "and give that file."
)


def damaged(path: Path, reason: str) -> UserError:
    """The file is not what its format says it is."""
    return UserError(f"the file ({path.stat().st_size} bytes) is cut or damaged: {reason}", where=path, fix=AGAIN)


def needs_code(path: Path, name: str) -> UserError:
    """The file holds something that only running code of its own could make; `name` of it where that is known."""
    what = f" ({name})" if name else ", or is damaged"
    return UserError(
        f"this file holds more than tensors and plain values{what}; loading that may execute code, so it was refused "
        "and nothing in it was executed",
        where=path,
        fix=SAFE,
    )


def absent(path: Path, library: str, extra: str) -> UserError:
    """The library that reads this format is not installed."""
    return UserError(
        f"reading this file needs {library}, which is not installed",
        where=path,
        fix=f"Run `pip install 'robeval[{extra}]'`.",
    )


def brief(error: Exception) -> str:
    """The first sentence of a library's message, in our words where theirs say little."""
    message = str(error).strip()
    if re.search("allocat|byte size|expected size|resiz|overflow|offset", message):
        return "it declares tensors that it does not hold"
    if isinstance(error, EOFError) or re.search("but only [0-9]+ remain|exhausted before|not enough data", message):
        return "it ends too early"
    return re.split(r"\.\s|\n", message, maxsplit=1)[0][:200] or type(error).__name__
