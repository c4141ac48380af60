"""A suite -> its attacks beside what other libraries have in their place."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace

from robeval.attacks import registry
from robeval.attacks.registry import Entry
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.suites.autoattack import autoattack
from robeval.values.attack import AttackSpec
from robeval.values.pair import Pair
from robeval.values.suite import Chain, Suite

# The cascade that the authors of AutoAttack call standard.
STANDARD_NAME = "autoattack.standard"
STANDARD = ("apgd", "apgd_targeted", "fab_targeted", "square")


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """What to run, and what to compare then.

    Attributes:
        suite: our attacks and the references, each by itself.
        skipped: which references are left out, and why.
    """

    suite: Suite
    pairs: tuple[Pair, ...]
    skipped: tuple[str, ...]


def with_references(suite: Suite) -> Crosscheck:
    """The attacks of a suite that have references, and these.

    An attack of a cascade is compared by itself, on all samples; only AutoAttack's standard cascade as a whole.

    Args:
        suite: with every parameter filled in, as `resolved` gives it.

    Raises:
        UserError: nothing can be compared; says why.
    """
    about = datasets.catalog().get(suite.dataset)
    chains: list[Chain] = []
    pairs: list[Pair] = []
    skipped: list[str] = []
    for chain in suite.chains:
        if tuple(spec.use for spec in chain.attacks) == STANDARD:
            found = [_standard(chain)]
            singles: tuple[Chain, ...] = (chain,)
        else:
            found = [each for spec in chain.attacks for each in _references(spec, about)]
            singles = tuple(Chain(spec.id, (spec,)) for spec in chain.attacks)
        theirs = [each for each in found if isinstance(each, _Reference)]
        skipped += [each for each in found if isinstance(each, str)]
        pairs += [each.pair for each in theirs]
        chains += [single for single in singles if any(each.pair.ours == single.id for each in theirs)]
        chains += [Chain(each.spec.id, (each.spec,)) for each in theirs]
    if not pairs:
        known = {name.partition(".")[2] for name, entry in registry.catalog().items() if entry.library}
        reasons = "".join(f"\n  {line}" for line in skipped)
        fix = f"There are references for: {', '.join(sorted(known))}."
        raise UserError(f"no attack of it can be compared with another library{reasons}", where=suite.id, fix=fix)
    title = f"{suite.title}, beside other libraries"
    both = replace(suite, id=f"{suite.id}_crosscheck", title=title, chains=tuple(chains))
    return Crosscheck(both, tuple(pairs), tuple(skipped))


@dataclass(frozen=True, slots=True)
class _Reference:
    """What stands in place of an attack, and how the two compare."""

    spec: AttackSpec
    pair: Pair


def _references(spec: AttackSpec, about: datasets.Entry | None) -> list[_Reference | str]:
    """What each library has in place of an attack, or why it cannot stand in for it."""
    entries = registry.catalog().values()
    return [
        _reference(spec, entry, about)
        for entry in entries
        if entry.library and entry.name == f"{entry.library}.{spec.use}"
    ]


def _reference(spec: AttackSpec, entry: Entry, about: datasets.Entry | None) -> _Reference | str:
    known, usual = _defaults(entry), _defaults(registry.catalog()[spec.use])
    spoken_of = {name for setting in entry.settings for name in setting}
    try:
        spec = _fitted(spec, about)
        lost = {name: value for name, value in spec.params.items() if name not in known and name not in spoken_of}
        reasons = [f"it takes no '{name}', which is {value}" for name, value in lost.items() if value != usual[name]]
        params = {name: value for name, value in spec.params.items() if name in known}
        theirs = replace(spec, id=f"{spec.id}:{entry.library}", use=entry.name, params=params)
        theirs, wrong = registry.check(theirs, "")
        theirs = theirs if wrong else _fitted(theirs, about)
    except UserError as error:
        reasons, wrong = [], [error]
    if reasons or wrong:
        return f"{spec.id}, {entry.name}: " + "; ".join(dict.fromkeys([*reasons, *map(_said, wrong)]))
    return _Reference(theirs, Pair(spec.id, theirs.id, entry.name, entry.minimal, _difference(entry, spec)))


def _fitted(spec: AttackSpec, about: datasets.Entry | None) -> AttackSpec:
    """The attack with what depends on the number of classes filled in, if that is known.

    Raises:
        UserError: it cannot be done for so many classes.
    """
    fit = registry.catalog()[spec.use].fit
    return replace(spec, params=fit(spec.params, about.num_classes)) if fit and about else spec


def _standard(chain: Chain) -> _Reference | str:
    """AutoAttack in place of a cascade like it."""
    threat = chain.attacks[0].threat
    usual = {spec.use: spec.params for spec in autoattack("", threat).attacks}
    changed = [
        f"'{name}' is {value}"
        for spec in chain.attacks
        for name, value in spec.params.items()
        if name != "parity" and value not in (_defaults(registry.catalog()[spec.use])[name], usual[spec.use].get(name))
    ]
    theirs = AttackSpec(f"{chain.id}:autoattack", STANDARD_NAME, threat)
    theirs, wrong = registry.check(theirs, "")
    if changed or wrong:
        return f"{chain.id}, {STANDARD_NAME}: " + "; ".join([*changed, *map(_said, wrong)])
    pair = Pair(chain.id, theirs.id, theirs.use, differs=registry.catalog()[theirs.use].differs)
    return _Reference(theirs, pair)


def _defaults(entry: Entry) -> Mapping[str, object]:
    """The keywords of an attack with their defaults; those without one have a value that equals nothing."""
    return {
        each.name: each.default
        for each in inspect.signature(entry.function).parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _difference(entry: Entry, spec: AttackSpec) -> str:
    """In what the reference is another attack than ours with these keywords."""
    norm = {"norm": spec.minimises or spec.threat.norm}
    settings = [setting for setting in entry.settings if setting.get("norm") in (None, norm["norm"])]
    parts = [entry.differs] if entry.differs else []
    if entry.settings and not any({**spec.params, **norm}.items() >= setting.items() for setting in settings):
        same = [
            " and ".join(f"{name} = {str(value).lower()}" for name, value in setting.items() if name != "norm")
            for setting in settings
        ]
        parts.append(f"the two are one attack only for {' or '.join(same)}")
    return "; ".join(parts)


def _said(problem: UserError) -> str:
    """The error in one line, with the way out where it is to install something."""
    return f"{problem.what} ({problem.fix})" if "not installed" in problem.what else problem.what
