"""The page about all attacks, made from their docstrings and signatures."""

import inspect
from collections.abc import Iterable

from robeval.attacks.registry import Entry, catalog, is_installed
from robeval.values.parameters import listed
from robeval.values.table import Table

_HEAD = """# Attacks

Made by `robeval attacks --markdown` from the docstrings; do not edit.

An entry of a suite names an attack with `use` and gives it the parameters below. What every entry may have:

| key | meaning | default |
| :-- | :-- | :-- |
| `id` | what tables call it | the attack's name |
| `threat` | norm and eps, in pixel units (images are in [0, 1]) | the suite's |
| `restarts` | how often it is tried on the samples still standing, with other random numbers | 1 |
| `select` | which iterate counts: the last (`"final"`), that of highest loss (`"best"`), any that is broken (`"any"`) \
| `"final"` |
| `eot` | passes whose average each logit and gradient is, for models that draw random numbers | 1 |
| `minimises` | minimal-distance attacks: the norm they make small | the threat's norm |
| `score` | minimal-distance attacks: broken if within eps (`"threshold"`), if still wrong after projection onto the \
ball (`"project"`), or `"threshold"` with the assurance that the threat's norm is the one minimised (`"native"`) \
| `"threshold"` |

Every candidate is judged by a fresh forward pass and an exact float32 check of ball and box, whatever the attack \
believes. Samples that are wrong on the clean image count as broken and are not attacked.
"""


def page() -> str:
    """The catalogue as Markdown."""
    return "\n".join([_HEAD, *map(_section, catalog().values())])


def tables(entries: Iterable[Entry]) -> tuple[Table, Table]:
    """Our attacks, and those of other libraries."""
    known = list(entries)
    ours = [(entry.name, ", ".join(entry.norms), entry.summary) for entry in known if not entry.library]
    theirs = [
        (entry.name, ", ".join(entry.norms), "yes" if is_installed(entry) else "no") for entry in known if entry.library
    ]
    notes = (
        "Parameters are some of those of the attack of the same name, and mean the same.",
        "`robeval crosscheck` runs them beside ours.",
    )
    return (
        Table("Attacks", ("attack", "norms", ""), tuple(ours)),
        Table("Attacks of other libraries", ("reference", "norms", "installed"), tuple(theirs), notes),
    )


def description(entry: Entry) -> str:
    """What it is and does, in text."""
    return f"{_facts(entry)}\n\n{inspect.getdoc(entry.function) or ''}\n"


def parameters(entry: Entry) -> tuple[tuple[str, str, str], ...]:
    """Name, allowed values and default of each keyword."""
    return tuple(listed(entry.function))


def _section(entry: Entry) -> str:
    parts = [f"## `{entry.name}`\n", description(entry)]
    if rows := parameters(entry):
        parts += ["| parameter | may be | default |", "| :-- | :-- | :-- |"]
        parts += [f"| `{name}` | {allowed} | {default} |" for name, allowed, default in rows]
        parts += [""]
    return "\n".join(parts)


def _facts(entry: Entry) -> str:
    """Norms, kind and paper in one line."""
    kind = "minimal distance" if entry.minimal else "inside the ball"
    needs = "gradients" if entry.gradients else "no gradients"
    paper = f"[{entry.paper}](https://arxiv.org/abs/{entry.paper.removeprefix('arXiv:')})" if entry.paper else ""
    return " · ".join(part for part in (", ".join(entry.norms), kind, needs, paper) if part)
