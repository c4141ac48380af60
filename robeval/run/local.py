"""Running tasks on this machine, one after the other."""

import platform
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robeval.datasets.registry import Samples
from robeval.errors import CellError, UserError
from robeval.ledger.store import Ledger
from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches
from robeval.run.bench import Shape, exact_arithmetic, out_of_memory, probe
from robeval.run.engine import Made, can_be_shared, made_key, make, run_cell
from robeval.values.cell import Cell, CellFailure, CellResult, Verdicts
from robeval.values.digest import plain
from robeval.values.plan import Task
from robeval.version import VERSION
from robeval.zoo.model import LoadedModel

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a cell is done, 0 to 1."""

    cell: Cell
    share: float


class Local:
    """An executor that keeps one model at a time on the device.

    The batch shape of each model is probed once and recorded in the ledger folder, so that a resumed run has
    the same one and its samples the same bits.

    Args:
        models: by name.
        sources: models that attacks see instead of the one that is measured (transfer). What can be shared of their
            images is made once, as long as the cells of a slice stand together.
        microbatch: the batch shape to use instead of a probed one; rows.
        listen: told the progress within cells.
        keep: given each cell's adversarial images, float32 (n, c, h, w), clean ones where it did not attack.
        share: given what is made on a source for all targets, as it is made.
    """

    def __init__(
        self,
        models: Mapping[str, LoadedModel],
        samples: Samples,
        ledger: Ledger,
        device: torch.device,
        microbatch: int | None = None,
        listen: Callable[[Progress], None] | None = None,
        sources: Sequence[LoadedModel] = (),
        keep: Callable[[Cell, Tensor], None] | None = None,
        share: Callable[[Cell, Made], None] | None = None,
    ) -> None:
        self._models, self._samples, self._ledger, self._device = models, samples, ledger, device
        self._microbatch, self._listen, self._keep = microbatch, listen, keep
        self._sources = {each.fingerprint: each for each in sources}
        self._share = share
        self._made: tuple[str, Made] | None = None
        self._ready: tuple[LoadedModel, Shape] | None = None

    def run(self, tasks: Iterable[Task]) -> Iterator[CellResult | CellFailure]:
        """The outcome of each cell as it is known; after a failure the rest of its chain is left out."""
        for task in tasks:
            before = task.before
            for cell in task.cells:
                outcome = self._outcome(cell, before)
                yield outcome
                if isinstance(outcome, CellFailure):
                    break
                before = outcome.verdicts

    def _outcome(self, cell: Cell, before: Verdicts | None) -> CellResult | CellFailure:
        start = time.perf_counter()
        try:
            verdicts, more = self._verdicts(cell, before)
        except CellError as error:
            return CellFailure(cell, str(error), traceback.format_exc())
        except UserError:
            raise
        except Exception as error:
            return CellFailure(cell, f"{type(error).__name__}: {error}", traceback.format_exc())
        return CellResult(cell, verdicts, time.perf_counter() - start, self.made_with(), more)

    def _verdicts(self, cell: Cell, before: Verdicts | None) -> tuple[Verdicts, dict[str, NDArray[np.generic]]]:
        """The verdicts, and on shared images the model's cross-entropy, float32 (n,)."""
        x, y = self.slice(cell.slice.start, cell.slice.stop)
        ids = self._ids(cell)
        images = x.clone() if self._keep else None
        made = self.made(cell) if cell.source and can_be_shared(cell.attack) else None

        def attacked(model: Microbatches) -> tuple[Verdicts, dict[str, NDArray[np.generic]]]:
            seen = self._sources[cell.source].module.to(self._device) if cell.source and made is None else None
            source = Microbatches(seen, model.size) if seen else None
            if images is not None:
                images.copy_(x)  # memory may have run short half-way
            verdicts = run_cell(cell, model, x, y, before, self._on_step(cell), source, images, ids, made)
            return verdicts, {"cross_entropy": _cross_entropy(model, made.images, y)} if made else {}

        found = self.ask(cell.model, attacked)
        if self._keep and images is not None:
            self._keep(cell, images.cpu())
        return found

    def made(self, cell: Cell) -> Made:
        """What the cell's attack makes of its slice on its source, for all targets; that of the last one is kept."""
        key = made_key(cell)
        if self._made is None or self._made[0] != key:
            x, y = self.slice(cell.slice.start, cell.slice.stop)
            self._made = (
                key,
                self._ask(
                    self._sources[cell.source],
                    lambda source: make(cell, source, x, y, self._on_step(cell), self._ids(cell)),
                ),
            )
            if self._share:
                self._share(cell, self._made[1])
        return self._made[1]

    def _ids(self, cell: Cell) -> Tensor:
        return torch.from_numpy(self._samples.ids[cell.slice.start : cell.slice.stop])

    def slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images and labels of some samples, on the device."""
        x, y = self._samples.slice(start, stop)
        return x.to(self._device), y.to(self._device)

    def ask(self, name: str, work: Callable[[Microbatches], Answer]) -> Answer:
        """What `work` makes of a model in its batch shape; short of memory, again with half as many rows at a time."""
        return self._ask(self._models[name], work)

    def _ask(self, model: LoadedModel, work: Callable[[Microbatches], Answer]) -> Answer:
        shape = self._shape(model)
        while True:
            try:
                with exact_arithmetic(shape.threads):
                    return work(Microbatches(model.module, shape.rows))
            except Exception as error:
                if not out_of_memory(error) or shape.rows == 1:
                    raise
            shape = self._use(model, Shape(shape.rows // 2, shape.threads))

    def _shape(self, model: LoadedModel) -> Shape:
        """How the model is run: as recorded, as given, or as a probe finds now. Puts it on the device."""
        if self._ready and self._ready[0] is model:
            return self._ready[1]
        if self._ready:
            self._ready[0].module.cpu()
        module = model.module.to(self._device)
        recorded = self._recorded().get(self._shape_name(model))
        if recorded is None:
            return self._use(model, probe(module, self._samples.shape, self._device, self._microbatch))
        shape = Shape(recorded["rows"], recorded["threads"])
        if self._microbatch not in (None, shape.rows, recorded.get("asked")):
            raise UserError(
                f"{self._microbatch}, but {self._ledger.root} was begun with {shape.rows} for '{model.id}', and "
                "another shape can change the last bit of a logit",
                where="--microbatch",
                fix="Leave it out to go on, or begin in another --out.",
            )
        return self._use(model, shape)

    def _use(self, model: LoadedModel, shape: Shape) -> Shape:
        known, entry = self._recorded(), plain(shape)
        if self._microbatch not in (None, shape.rows):  # memory was short
            entry |= {"asked": self._microbatch}
        if known.get(self._shape_name(model)) != entry:
            self._ledger.set("shapes", known | {self._shape_name(model): entry})
        self._ready = model, shape
        return shape

    def _recorded(self) -> dict[str, Any]:
        """The shapes recorded before; what has another form is not one, and is probed again."""
        found = self._ledger.settings().get("shapes")
        if not isinstance(found, dict):
            return {}
        return {name: shape for name, shape in found.items() if _is_shape(shape)}

    def _shape_name(self, model: LoadedModel) -> str:
        image = "x".join(map(str, self._samples.shape))
        return f"{model.id} {model.fingerprint} {image} {self._device.type}"

    def _on_step(self, cell: Cell) -> Callable[[float], None] | None:
        listen = self._listen
        return None if listen is None else lambda share: listen(Progress(cell, share))

    def made_with(self) -> dict[str, str]:
        """Versions, device, and the shape of the model that was asked last."""
        device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else platform.machine()
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "robeval": VERSION,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "device": f"{self._device.type} ({device})",
            "threads": str(self._ready[1].threads if self._ready else ""),
            "microbatch": str(self._ready[1].rows if self._ready else ""),
        }


def _cross_entropy(model: Microbatches, images: Tensor, y: Tensor) -> NDArray[np.generic]:
    """Of each image, allowed or not; NaN where it holds NaN."""
    return cross_entropy(model.logits(images), y).float().cpu().numpy()


def _is_shape(found: object) -> bool:
    numbers = found.values() if isinstance(found, dict) and found.keys() >= {"rows", "threads"} else ()
    return bool(numbers) and all(isinstance(number, int) and number > 0 for number in numbers)
