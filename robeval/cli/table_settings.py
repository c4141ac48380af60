"""What a row of a ledger must say of its data and attacks to be the number of a cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.measures import registry as measures
from robeval.reports import findings, measure
from robeval.run.plan import fitted, resolved
from robeval.suites import load as suites
from robeval.values.attack import stay
from robeval.values.paper import Ask
from robeval.values.suite import Suite

Setting = Mapping[str, Any]


class Settings:
    """Says it by the suites on the shelf: each suite and data set is read once, and only if it is asked for."""

    def __init__(self, data_root: Path | None) -> None:
        self._roots = datasets.data_roots(data_root)
        self._attacks: dict[str, dict[str, Setting]] = {}
        self._images: dict[tuple[str, str], Setting] = {}
        self._suites: dict[str, Suite] = {}

    def __call__(self, ask: Ask) -> Setting:
        """The images, and function, ball and parameters of the attack, as `measure.results` calls them.

        Of a measure: the images, those that they are compared with, and the attacks, as `findings.rows` calls them.

        Raises:
            UserError: the suite cannot be read.
        """
        if ask.finding:
            return self._of_finding(ask.finding)
        if ask.suite not in self._attacks:
            self._attacks[ask.suite] = self._read(ask.suite)
        return self._attacks[ask.suite].get(ask.attack, {"attack": "one of the suite"})

    def _read(self, name: str) -> dict[str, Setting]:
        suite = self._suite(name)
        about = self._of(suite.dataset, suite.split)
        chains = [(chain.id, chain.attacks) for chain in suite.chains]
        parts = [(spec.id, (spec,)) for _, attacks in chains if len(attacks) > 1 for spec in attacks]
        return {attack: {**about, **measure.settings(attacks)} for attack, attacks in (*chains, *parts)}

    def _of_finding(self, finding: Setting) -> Setting:
        name, dataset, suite = (str(finding.get(key, "")) for key in ("measure", "dataset", "suite"))
        if suite:
            known = self._suite(suite)
            counted = (chain.attacks for chain in known.chains if stay(chain.attacks, known.threat))
            attacks = [spec for each in counted for spec in each]
            return {**self._of(known.dataset, known.split), "attacks": findings.together(attacks)}
        if not dataset:
            return {}
        setting = dict(self._of(dataset, str(finding.get("split", "test"))))
        if measures.find(name).about == "data" and "content" in (train := self._of(dataset, "train")):
            setting["reference"] = train["content"]
        return setting

    def _suite(self, name: str) -> Suite:
        """As it is run."""
        if name not in self._suites:
            suite = resolved(suites.load(name, "table"))
            classes = datasets.find(suite.dataset, name).num_classes
            self._suites[name], _ = fitted(suite, suite.dataset, classes)
        return self._suites[name]

    def _of(self, dataset: str, split: str) -> Setting:
        """By content; by name where the data are not at hand to tell."""
        key = dataset, split
        if key not in self._images:
            try:
                self._images[key] = {"content": datasets.load(dataset, split, self._roots).content}
            except UserError:
                self._images[key] = {"dataset": dataset, "split": split}
        return self._images[key]
