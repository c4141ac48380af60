"""The images that attacks make on a source, for whoever wants to have them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robeval.ops import geometry
from robeval.run.engine import Made, can_be_shared, made_key
from robeval.run.local import Local
from robeval.values.cell import Cell
from robeval.values.plan import Plan
from robeval.values.threat import ThreatModel


@dataclass(slots=True)
class Album:
    """The images of a run, collected as they are made; `take` is what `Local` calls."""

    pages: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def take(self, cell: Cell, made: Made) -> None:
        """Keep one slice."""
        self.pages[made_key(cell)] = made.images.cpu().numpy()

    def whole(self, plan: Plan, local: Local) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each attack's name and images, float32 (n, c, h, w); those that were not made in this run are made now.

        An image that is not allowed, not finite or out of ball or box, gives way to the clean one. Attacks that ask the
        target have no images in common and are left out.
        """
        about = plan.models[0]
        cells = {cell.key: cell for cell in plan.cells}
        for row in about.rows:
            for place, spec in enumerate(row.attacks):
                if can_be_shared(spec):
                    name = row.id if len(row.attacks) == 1 else f"{row.id}.{spec.id}"
                    yield name, np.concatenate([self._page(cells[keys[place]], local) for keys in row.keys])

    def _page(self, cell: Cell, local: Local) -> NDArray[np.float32]:
        if made_key(cell) not in self.pages:
            self.take(cell, local.made(cell))
        x = local.slice(cell.slice.start, cell.slice.stop)[0].cpu()
        images = torch.from_numpy(self.pages.pop(made_key(cell)))
        return _allowed(images, x, cell.attack.threat).numpy()


def _allowed(images: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    finite = images.isfinite().flatten(1).all(dim=1)
    tame = images.where(finite[:, None, None, None], x)
    fine = finite & geometry.near(tame, x, threat) & geometry.boxed(tame, threat)
    return tame.where(fine[:, None, None, None], x)
