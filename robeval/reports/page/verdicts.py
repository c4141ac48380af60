"""What a ledger holds of one model and suite, slices joined."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robeval.ledger.store import Ledger
from robeval.values.cell import Verdicts
from robeval.values.plan import ModelPlan


@dataclass(frozen=True, slots=True)
class Finished:
    """A plan and the verdicts of its finished rows, by their ids."""

    plan: ModelPlan
    verdicts: Mapping[str, Verdicts]

    def worst(self) -> NDArray[np.bool_] | None:
        """Which samples some attack of the suite's threat model broke, bool (n,); None while one is not finished."""
        counted = [row.id for row in self.plan.rows if self.plan.counts(row)]
        if not counted or any(name not in self.verdicts for name in counted):
            return None
        return np.logical_or.reduce([self.verdicts[name].broken for name in counted])

    def breakers(self) -> dict[str, list[int]]:
        """For each attack of the threat model, the places of samples that it was the first to break, in order."""
        found: dict[str, list[int]] = {}
        standing: NDArray[np.bool_] | None = None
        for row in self.plan.rows:
            if not self.plan.counts(row) or row.id not in self.verdicts:
                continue
            verdicts = self.verdicts[row.id]
            standing = np.ones(len(verdicts.broken), bool) if standing is None else standing
            places = np.flatnonzero(standing & verdicts.attacked & verdicts.broken)
            found |= {row.id: places.tolist()} if len(places) else {}
            standing &= ~verdicts.broken
        return found


def finished(ledger: Ledger, plan: ModelPlan) -> Finished:
    """Read the verdicts of every row whose slices are all there."""
    found: dict[str, Verdicts] = {}
    for row in plan.rows:
        cells = [ledger.get(keys[-1]) for keys in row.keys]  # the last cell of a chain has its verdicts
        parts = [cell.verdicts.columns() for cell in cells if cell]
        if parts and len(parts) == len(cells):
            found[row.id] = Verdicts(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return Finished(plan, found)
