"""The page about all attacks, made from their docstrings and signatures."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import get_args

from robeval.attacks.registry import Entry, catalog, is_installed
from robeval.cli import page as parts
from robeval.cli.transfer import command as transfer
from robeval.suites.autoattack import Version, autoattack
from robeval.values.attack import AttackSpec
from robeval.values.table import Table
from robeval.values.threat import Norm, ThreatModel

_HEAD = """# Attacks

Made by `robeval attacks --markdown` from the docstrings; do not edit.

An entry of a suite names an attack with `use` and gives it the parameters below. What every entry may have:

| key | meaning | default |
| :-- | :-- | :-- |
| `id` | what tables call it | the attack's name |
| `threat` | norm and eps, in pixel units (images are in [0, 1]) | the suite's |
| `restarts` | how often it is tried on the samples still standing, with other random numbers; \
a warning says where it draws none | 1 |
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


@dataclass(frozen=True, slots=True)
class Way:
    """An attack that no entry's `use` names.

    Attributes:
        how: what asks for it.
        text: what it is and does.
        rows: name, allowed values, default and meaning of each parameter.
    """

    how: str
    summary: str
    text: str
    rows: tuple[parts.Row, ...] = ()


def page() -> str:
    """The catalogue as Markdown."""
    others = [parts.section(name, way.text, way.rows) for name, way in ways().items()]
    return "\n".join([_HEAD, *others, *map(_section, catalog().values())])


def ways() -> dict[str, Way]:
    """The attacks that are asked for in other ways than by `use`."""
    facts = ("linf, l2, l1", "several attacks", parts.link("arXiv:2003.01690"), parts.link("arXiv:2103.01208"))
    text = f"{parts.description(facts, autoattack)}\n{_versions()}\n"
    rows = parts.parameters(autoattack, parts.attributes(autoattack, parts.LISTED))
    seen = inspect.cleandoc(transfer.help or "")
    return {
        "autoattack": Way("[[autoattack]]", _first_line(inspect.getdoc(autoattack)), text, rows),
        "transfer": Way(
            "robeval transfer", _first_line(seen), f"all norms · `robeval transfer` · any suite\n\n{seen}\n"
        ),
    }


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _versions() -> str:
    """The parts of each version of AutoAttack, a line for all norms that share them."""
    lines = []
    for version in get_args(Version):
        made = [(norm, autoattack("", ThreatModel(norm, 0.0), version=version)) for norm in get_args(Norm)]
        for shown, same in groupby(made, lambda each: "; ".join(map(_part, each[1].attacks))):
            lines.append(f"- `{version}`, {', '.join(norm for norm, _ in same)}: {shown}")
    return "\n".join(lines)


def _part(spec: AttackSpec) -> str:
    """An attack with its settings: `apgd` loss=ce steps=100 restarts=5."""
    common = (f"{name}={getattr(spec, name)}" for name in ("restarts", "eot") if getattr(spec, name) > 1)
    return " ".join([f"`{spec.use}`", spec.settings(), *common])


def tables(entries: Iterable[Entry]) -> tuple[Table, Table, Table]:
    """Our attacks, what is made of them, and those of other libraries."""
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
        Table(
            "Made of attacks", ("name", "how", ""), tuple((name, way.how, way.summary) for name, way in ways().items())
        ),
        Table("Attacks of other libraries", ("reference", "norms", "installed"), tuple(theirs), notes),
    )


def description(entry: Entry) -> str:
    """What it is and does, in text."""
    kind = "minimal distance" if entry.minimal else "inside the ball"
    needs = "gradients" if entry.gradients else "no gradients"
    return parts.description((", ".join(entry.norms), kind, needs, parts.link(entry.paper)), entry.function)


def parameters(entry: Entry) -> tuple[parts.Row, ...]:
    """Name, allowed values, default and meaning of each keyword."""
    return parts.parameters(entry.function, meanings(entry))


def meanings(entry: Entry) -> dict[str, str]:
    """What the docstring says of each keyword; of one it does not speak of, that of our attack of the same name."""
    own = parts.attributes(entry.function, parts.LISTED)
    if not entry.library:
        return own
    ours = catalog().get(entry.name.partition(".")[2])
    return (parts.attributes(ours.function, parts.LISTED) if ours else {}) | own


def _section(entry: Entry) -> str:
    return parts.section(entry.name, description(entry), parameters(entry))
