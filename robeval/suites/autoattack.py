"""AutoAttack as a chain: four or six attacks, each on what the ones before left standing.

Croce & Hein, 2020 (https://arxiv.org/abs/2003.01690); for l1 Croce & Hein, 2021 (https://arxiv.org/abs/2103.01208).
"""

from typing import Any, Literal

from robeval.values.attack import AttackSpec
from robeval.values.suite import Chain
from robeval.values.threat import ThreatModel

Version = Literal["standard", "plus", "rand"]
Parity = Literal["none", "autoattack"]

# What each version runs, in order: the attack, its parameters, and what the suite itself sets. Where a loss is
# "auto" it is (targeted) DLR, or another where there are too few classes for it.
_APGD_CE = ("apgd_ce", "apgd", {"loss": "ce", "steps": 100})
_APGD_DLR = ("apgd_dlr", "apgd", {"loss": "auto", "steps": 100})
_APGD_T = ("apgd_t", "apgd_targeted", {"steps": 100, "targets": 9})
_FAB = ("fab", "fab", {"steps": 100})
_FAB_T = ("fab_t", "fab_targeted", {"steps": 100, "targets": 9})
_SQUARE = ("square", "square", {"queries": 5000})
_VERSIONS: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
    "standard": (_APGD_CE, _APGD_T, _FAB_T, _SQUARE),
    "plus": (_APGD_CE, _APGD_DLR, _FAB, _SQUARE, _APGD_T, _FAB_T),
    "rand": (_APGD_CE, _APGD_DLR),
}


def autoattack(name: str, threat: ThreatModel, *, version: Version = "standard", parity: Parity = "none") -> Chain:
    """Attacks in order, each on the samples that the ones before left standing (section 5).

    A suite asks for it by a section `[[autoattack]]`, which takes `id`, `threat` and the parameters below. Besides the
    row of the whole, the table has one for each part: what is left after it and the parts before.
    Where there are fewer classes `targets` is the number of wrong ones. "auto" is DLR, with 2 classes the margin, and
    for `apgd_targeted` the targeted DLR, with 2 or 3 classes its numerator z_t - z_y; the authors' code cannot do
    these. What was taken is recorded in the parameters of the row.
    Cost for a sample that stands to the end, of 10 classes, in linf or l2: "standard" 7,818 forwards and 1,911
    backwards, "plus" 9,762 and 7,825, "rand" 4,040 each.

    Parameters:
        version: "standard" is the one that papers report; "plus" has restarts and the untargeted attacks besides;
            "rand" is for models that draw random numbers. All are those of the authors' code.
        parity: "autoattack" does what that code does where ours goes ways of its own: in FAB, Square and, for l1,
            Auto-PGD.
    """
    own: dict[str, Any] = {} if parity == "none" else {"parity": parity}
    specs = [_spec(name, version, threat, *each, own) for each in _VERSIONS[version]]
    return Chain(name, tuple(specs), fit_targets=True)


def _spec(
    name: str, version: Version, threat: ThreatModel, part: str, use: str, params: dict[str, Any], own: dict[str, Any]
) -> AttackSpec:
    params = params | own
    if threat.norm == "l1" and use == "apgd_targeted" and version == "standard":
        params = params | {"targets": 5}
    again = use in ("apgd", "fab") and (version == "plus" or (threat.norm == "l1" and version == "standard"))
    return AttackSpec(
        id=f"{name}.{part}",
        use=use,
        threat=threat,
        params=params,
        restarts=5 if again else 1,
        # The first image that a random model gets wrong once is a weak answer: Auto-PGD's own is the last one.
        select="final" if version == "rand" else "any",
        eot=20 if version == "rand" else 1,
    )
