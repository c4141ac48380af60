"""What the generated pages about attacks and training methods share."""

import inspect
from collections.abc import Callable
from typing import Any

from robeval.values.parameters import listed

Row = tuple[str, str, str]


def parameters(function: Callable[..., Any]) -> tuple[Row, ...]:
    """Name, allowed values and default of each keyword."""
    return tuple(listed(function))


def description(facts: tuple[str, ...], function: Callable[..., Any]) -> str:
    """The facts in one line, and the docstring."""
    return f"{' · '.join(filter(None, facts))}\n\n{inspect.getdoc(function) or ''}\n"


def attributes(kind: type) -> dict[str, str]:
    """What the docstring of a class says of each attribute under "Attributes:", where several may share a text."""
    lines = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].splitlines()
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
        parts += ["| parameter | may be | default |", "| :-- | :-- | :-- |"]
        parts += [f"| `{key}` | {allowed} | {default} |" for key, allowed, default in rows]
        parts += [""]
    return "\n".join(parts)


def link(paper: str) -> str:
    """A link to a paper, given as "arXiv:..." or by its address; empty if there is none."""
    address = paper.replace("arXiv:", "https://arxiv.org/abs/")
    return f"[{paper.removeprefix('https://')}]({address})" if paper else ""
