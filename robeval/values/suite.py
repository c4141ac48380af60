"""What a model is asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from robeval.errors import UserError
from robeval.values.attack import AttackSpec
from robeval.values.threat import ThreatModel

WORST_CASE = "worst_case"  # the table row of all attacks together; no attack may be called so


@dataclass(frozen=True, slots=True)
class Chain:
    """Attacks that follow each other, each on what the one before left standing; most hold one.

    Attributes:
        fit_targets: aim at fewer targets where there are fewer classes, instead of refusing.
    """

    id: str
    attacks: tuple[AttackSpec, ...]
    fit_targets: bool = False


@dataclass(frozen=True, slots=True)
class Suite:
    """A data set, a threat model and the attacks to run.

    Attributes:
        slice_size: samples per cell, the unit of work, storage and resumption.
        where: the file it was read from, for messages.
    """

    id: str
    title: str
    dataset: str
    split: str
    threat: ThreatModel
    chains: tuple[Chain, ...]
    slice_size: int = 1000
    where: str = ""


def wrong_chains(chains: Sequence[Chain], where: str) -> list[UserError]:
    """What makes chains useless or their rows in a table ambiguous; those without an id are passed over."""
    ids = [chain.id for chain in chains if chain.id]
    problems = [
        UserError(f"two attacks have the id '{name}'", where=where, fix="Give each its own 'id'.")
        for name in sorted({name for name in ids if ids.count(name) > 1})
    ]
    if WORST_CASE in ids:
        found = f"an attack has the id '{WORST_CASE}', which names the sum of all"
        problems.append(UserError(found, where=where, fix="Give it another 'id'."))
    problems += [
        UserError(f"the cascade '{chain.id}' has no attack", where=where, fix="Add one to its 'attacks'.")
        for chain in chains
        if chain.id and not chain.attacks
    ]
    if not chains:
        problems.append(UserError("it has no attack", where=where, fix="Add an [[attack]] section."))
    return problems


def wrong_threat(threat: ThreatModel, where: str) -> list[UserError]:
    """Whether eps is a radius, and in pixel units as far as that can be told."""
    if not (math.isfinite(threat.eps) and threat.eps >= 0):
        return [UserError(f"eps is {threat.eps:g}", where=where, fix="Give a number of 0 or more.")]
    if threat.norm != "linf" or threat.eps <= 1:
        return []
    found = f"eps is {threat.eps:g}, but pixels are in [0, 1]"
    return [UserError(found, where=where, fix=f'Did you mean "{threat.eps:g}/255"?')]
