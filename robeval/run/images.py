"""The adversarial images behind the verdicts.

A ledger keeps verdicts, not images: an attack is a function of its cell, so what it made can be made again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robeval.datasets.registry import Samples
from robeval.errors import CellError, UserError, nearest
from robeval.ledger.store import Ledger
from robeval.run.local import Local, Progress
from robeval.values.cell import CellFailure
from robeval.values.plan import ModelPlan, Plan, Task
from robeval.values.suite import WORST_CASE
from robeval.zoo.model import LoadedModel


@dataclass(frozen=True, slots=True)
class Adversarial:
    """What became of the first n samples.

    Attributes:
        images: float32 (n, c, h, w): the one that broke the sample; where none did, the last one that was tried.
        broken: bool (n,).
    """

    images: NDArray[np.float32]
    broken: NDArray[np.bool_]


def adversarial(
    plan: Plan,
    models: Mapping[str, LoadedModel],
    samples: Samples,
    ledger: Ledger,
    device: torch.device,
    attack: str = WORST_CASE,
    microbatch: int | None = None,
    listen: Callable[[Progress], None] | None = None,
) -> Adversarial:
    """Make the images of one model's attack again, or those of all that count for its worst case, one after another.

    Samples that an attack has broken stay as they are under the ones that follow.

    Args:
        ledger: where the batch shape is recorded that the verdicts were made with.

    Raises:
        UserError: no attack of the plan is called so.
        CellError: one of them fails.
    """
    (about,) = plan.models
    kept: dict[str, Tensor] = {}
    executor = Local(
        models, samples, ledger, device, microbatch, listen, keep=lambda cell, images: kept.update({cell.key: images})
    )
    found = Adversarial(samples.slice(0, about.n)[0].numpy(), np.zeros(about.n, bool))
    for task in _tasks(plan, about, attack):
        for outcome in executor.run([task]):
            if isinstance(outcome, CellFailure):
                fix = "Mend the model or the suite, and run it again."
                raise CellError(f"the attack failed: {outcome.reason}", where=outcome.cell.attack.id, fix=fix)
            verdicts = outcome.verdicts
            rows = np.arange(outcome.cell.slice.start, outcome.cell.slice.stop)
            standing = verdicts.attacked & ~found.broken[rows]
            found.images[rows[standing]] = kept.pop(outcome.cell.key).numpy()[standing]
            found.broken[rows] |= verdicts.broken
    return found


def _tasks(plan: Plan, about: ModelPlan, attack: str) -> Iterator[Task]:
    """Every slice of the chosen rows."""
    rows = {row.id: row for row in about.rows}
    if attack == WORST_CASE:
        wanted = [row for row in about.rows if about.counts(row)]
    elif attack in rows:
        wanted = [rows[attack]]
    else:
        fix = nearest(attack, [*rows, WORST_CASE])
        raise UserError(f"the suite '{about.suite}' has no attack '{attack}'", where="--attack", fix=fix)
    cells = {cell.key: cell for cell in plan.cells}
    for row in wanted:
        for keys in row.keys:
            yield Task(tuple(cells[key] for key in keys))
