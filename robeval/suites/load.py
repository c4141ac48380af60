"""suites/<id>.toml -> Suite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robeval import shelf
from robeval.errors import Problems, UserError, raise_together
from robeval.suites.autoattack import Parity, Version, autoattack
from robeval.values.attack import AttackSpec, Score, Select
from robeval.values.parameters import Count, NotNegative, resolve
from robeval.values.suite import Chain, Suite, wrong_chains, wrong_threat
from robeval.values.threat import Norm, ThreatModel


def load(name: str, option: str = "--suite") -> Suite:
    """The suite of that name on the shelf, or in that TOML file.

    Which attacks exist and what they take is checked when a plan is made.

    Raises:
        UserError: no such suite, or a key that is missing, unknown or of the wrong type; all are named together.
    """
    suite, problems = read(name, option)
    raise_together(problems)
    return suite


def read(name: str, option: str = "--suite") -> tuple[Suite, list[UserError]]:
    """The suite as far as it can be read, and what is wrong with it.

    Raises:
        UserError: there is no such suite, or its file is not TOML.
    """
    path = shelf.find(shelf.SUITES, name, option)
    reader = _Reader(path)
    return reader.suite(shelf.read_toml(path)), reader.problems


def catalog() -> dict[str, Suite]:
    """Every suite on the shelf by name.

    Raises:
        UserError: something in one of them is wrong; all that is wrong is said at once.
    """
    problems = Problems()
    suites = {name: problems.attempt(load, str(path)) for name, path in shelf.names(shelf.SUITES).items()}
    raise_together(problems)
    return suites


# What each section may hold: the keywords are its keys, as `resolve` reads them.


def _top(
    *,
    dataset: str,
    threat: dict[str, Any],
    title: str = "",
    split: str = "test",
    slice_size: Count = 1000,
    attack: tuple[dict[str, Any], ...] = (),
    cascade: tuple[dict[str, Any], ...] = (),
    autoattack: tuple[dict[str, Any], ...] = (),
) -> None:
    """The keys and sections of a suite."""


def _threat(*, norm: Norm, eps: NotNegative) -> ThreatModel:
    return ThreatModel(norm, eps)


def _attack(
    *,
    use: str,
    id: str = "",
    restarts: Count = 1,
    select: Select = "final",
    minimises: Norm | None = None,
    score: Score = "threshold",
    eot: Count = 1,
    threat: dict[str, Any] | None = None,
) -> None:
    """The keys of an attack that belong to the suite; all others are keywords of the attack function."""


def _cascade(*, id: str, attacks: tuple[dict[str, Any], ...]) -> None:
    """Attacks in order, each on what the one before left standing."""


def _autoattack(
    *,
    id: str = "autoattack",
    version: Version = "standard",
    parity: Parity = "none",
    threat: dict[str, Any] | None = None,
) -> None:
    """The chain of one version of AutoAttack."""


_OWN_KEYS = ("use", "id", "restarts", "select", "minimises", "score", "eot", "threat")
_UNKNOWN = ThreatModel("linf", 0.0)


class _Reader:
    """Reads the sections of one file and collects what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[UserError] = []

    def suite(self, text: Mapping[str, Any]) -> Suite:
        top, self.problems = resolve(_top, text, str(self.path))
        threat = self.threat(top["threat"], "[threat]") if isinstance(top.get("threat"), dict) else _UNKNOWN
        single, cascades, standard = (_sections(top[name]) for name in ("attack", "cascade", "autoattack"))
        specs = [self.attack(each, threat, f"[[attack]] {place}") for place, each in enumerate(single, 1)]
        chains = [Chain(spec.id, (spec,)) for spec in specs]
        chains += [self.cascade(each, threat, f"[[cascade]] {place}") for place, each in enumerate(cascades, 1)]
        chains += [self.autoattack(each, threat, f"[[autoattack]] {place}") for place, each in enumerate(standard, 1)]
        if chains or not (text.get("attack") or text.get("cascade") or text.get("autoattack")):
            self.problems += wrong_chains(chains, str(self.path))
        return Suite(
            id=self.path.stem,
            title=top["title"] or self.path.stem,
            dataset=str(top.get("dataset", "")),
            split=top["split"],
            threat=threat,
            chains=tuple(chain for chain in chains if all(spec.use for spec in chain.attacks)),
            slice_size=top["slice_size"],
            where=str(self.path),
        )

    def threat(self, section: Mapping[str, Any], at: str) -> ThreatModel:
        """A threat model; if it is wrong, that is on the list, and the unknown one stands in for it."""
        keys, wrong = resolve(_threat, section, f"{self.path}: {at}")
        self.problems += wrong
        if wrong:
            return _UNKNOWN
        amiss = wrong_threat(_threat(**keys), f"{self.path}: {at}")
        self.problems += amiss
        return _UNKNOWN if amiss else _threat(**keys)

    def attack(self, section: Mapping[str, Any], default: ThreatModel, at: str, id_: str = "") -> AttackSpec:
        """One attack; `at` says which while it has no name."""
        name = section.get("id") or id_ or section.get("use")
        at = f"attack '{name}'" if name else at
        own = {key: value for key, value in section.items() if key in _OWN_KEYS}
        keys, wrong = resolve(_attack, own, f"{self.path}: {at}")
        self.problems += wrong
        if wrong:
            return AttackSpec("", "", default)
        threat = default if keys["threat"] is None else self.threat(keys["threat"], f"{at}: threat")
        params = {key: value for key, value in section.items() if key not in _OWN_KEYS}
        common = {key: keys[key] for key in ("restarts", "select", "score", "eot")}
        return AttackSpec(name or keys["use"], keys["use"], threat, params, minimises=keys["minimises"] or "", **common)

    def cascade(self, section: Mapping[str, Any], default: ThreatModel, at: str) -> Chain:
        """One `[[cascade]]`."""
        at = f"cascade '{section['id']}'" if section.get("id") else at
        keys, wrong = resolve(_cascade, section, f"{self.path}: {at}")
        self.problems += wrong
        if wrong:
            return Chain("", ())
        ids = [f"{keys['id']}.{place}" for place in range(1, len(keys["attacks"]) + 1)]
        return Chain(keys["id"], tuple(self.attack(each, default, id_, id_) for each, id_ in zip(keys["attacks"], ids)))

    def autoattack(self, section: Mapping[str, Any], default: ThreatModel, at: str) -> Chain:
        """One `[[autoattack]]`."""
        keys, wrong = resolve(_autoattack, section, f"{self.path}: {at}")
        self.problems += wrong
        if wrong:
            return Chain("", ())
        threat = default if keys["threat"] is None else self.threat(keys["threat"], f"{at}: threat")
        return autoattack(keys["id"], threat, version=keys["version"], parity=keys["parity"])


def _sections(given: object) -> list[dict[str, Any]]:
    """Those of a list of sections that are sections."""
    return [each for each in given if isinstance(each, dict)] if isinstance(given, tuple) else []
