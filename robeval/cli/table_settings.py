"""What a row of a ledger's results must say of its data and attack to be the number of a cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.reports import measure
from robeval.run.plan import fitted, resolved
from robeval.suites import load as suites
from robeval.values.paper import Ask

Setting = Mapping[str, Any]


class Settings:
    """Says it by the suites on the shelf: each suite and data set is read once, and only if it is asked for."""

    def __init__(self, data_root: Path | None) -> None:
        self._roots = datasets.data_roots(data_root)
        self._attacks: dict[str, dict[str, Setting]] = {}
        self._images: dict[tuple[str, str], Setting] = {}

    def __call__(self, ask: Ask) -> Setting:
        """The images, and function, ball and parameters of the attack, as `measure.results` calls them.

        Raises:
            UserError: the suite cannot be read.
        """
        if ask.suite not in self._attacks:
            self._attacks[ask.suite] = self._read(ask.suite)
        return self._attacks[ask.suite].get(ask.attack, {"attack": "one of the suite"})

    def _read(self, name: str) -> dict[str, Setting]:
        suite = resolved(suites.load(name, "table"))
        about = self._of(suite.dataset, suite.split)
        suite, _ = fitted(suite, suite.dataset, datasets.find(suite.dataset, name).num_classes)
        chains = [(chain.id, chain.attacks) for chain in suite.chains]
        parts = [(spec.id, (spec,)) for _, attacks in chains if len(attacks) > 1 for spec in attacks]
        return {attack: {**about, **measure.settings(attacks)} for attack, attacks in (*chains, *parts)}

    def _of(self, dataset: str, split: str) -> Setting:
        """By content; by name where the data are not at hand to tell."""
        key = dataset, split
        if key not in self._images:
            try:
                self._images[key] = {"content": datasets.load(dataset, split, self._roots).content}
            except UserError:
                self._images[key] = {"dataset": dataset, "split": split}
        return self._images[key]
