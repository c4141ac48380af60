"""What the generated pages about attacks and training methods share."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from robeval.values.parameters import listed

Row = tuple[str, ...]
HEADER = ("parameter", "may be", "default", "meaning, unit, and where the default is from")
LISTED = "Parameters:\n"


def parameters(function: Callable[..., Any], meant: Mapping[str, str] = MappingProxyType({})) -> tuple[Row, ...]:
    """Name, allowed values and default of each keyword, and its meaning if any has one."""
    return tuple((*row, meant.get(row[0], "")) if meant else row for row in listed(function))


def description(facts: tuple[str, ...], function: Callable[..., Any]) -> str:
    """The facts in one line, and the docstring without what it lists of its parameters."""
    text = (inspect.getdoc(function) or "").partition(LISTED)[0].rstrip()
    return f"{' · '.join(filter(None, facts))}\n\n{text}\n"


def attributes(kind: Any, heading: str = "Attributes:\n") -> dict[str, str]:
    """What a docstring says of each name under the last heading, "Attributes:", where several may share a text."""
    lines = (inspect.getdoc(kind) or "").partition(heading)[2].splitlines()
    said: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if not line.startswith(" " * 8):
            heads, _, line = line.partition(":")
            names = heads.strip().split(", ")
        said |= {name: f"{said.get(name, '')} {line.strip()}".strip() for name in names}
    return said


def section(name: str, text: str, rows: tuple[Row, ...]) -> str:
    """A heading, the text, and a table of the parameters if there are any."""
    parts = [f"## `{name}`\n", text]
    if rows:
        heads = HEADER[: len(rows[0])]
        parts += [f"| {' | '.join(heads)} |", f"|{' :-- |' * len(heads)}"]
        parts += [f"| `{key}` | {' | '.join(rest)} |" for key, *rest in rows]
        parts += [""]
    return "\n".join(parts)


def link(paper: str) -> str:
    """A link to a paper, given as "arXiv:..." or by its address; empty if there is none."""
    address = paper.replace("arXiv:", "https://arxiv.org/abs/")
    return f"[{paper.removeprefix('https://')}]({address})" if paper else ""
