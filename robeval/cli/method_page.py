"""The page about all training methods, made from their docstrings and signatures."""

from collections.abc import Iterable

from robeval.cli import page as parts
from robeval.train.recipe import Settings
from robeval.train.registry import Entry, catalog
from robeval.values.parameters import listed
from robeval.values.table import Table

_HEAD = """# Training methods

Made by `robeval methods --markdown` from the docstrings; do not edit.

The `[training]` section of a card names a method with `method` and gives it the parameters below. What every section \
may have (`norm` and `eps` only where the method perturbs images in a ball):

| key | may be | default | |
| :-- | :-- | :-- | :-- |
"""


def page() -> str:
    """The catalogue as Markdown."""
    meant = parts.attributes(Settings)
    keys = (f"| `{name}` | {may} | {default} | {meant.get(name, '')} |" for name, may, default in listed(Settings))
    return "\n".join([_HEAD + "\n".join(keys) + "\n", *map(_section, catalog().values())])


def table(entries: Iterable[Entry]) -> Table:
    """All methods, in a line each."""
    rows = tuple((entry.name, _norms(entry), entry.summary) for entry in entries)
    return Table("Training methods", ("method", "norms", ""), rows)


def description(entry: Entry) -> str:
    """What it is and does, in text."""
    return parts.description((_norms(entry), parts.link(entry.paper)), entry.function)


def parameters(entry: Entry) -> tuple[parts.Row, ...]:
    """Name, allowed values and default of each keyword."""
    return parts.parameters(entry.function)


def _section(entry: Entry) -> str:
    return parts.section(entry.name, description(entry), parameters(entry))


def _norms(entry: Entry) -> str:
    return ", ".join(entry.norms) or "no ball"
