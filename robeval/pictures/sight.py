"""Models that look at the same few images, as pictures need them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robeval import api
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.pictures.content import Panel
from robeval.run.images import adversarial
from robeval.run.local import Local
from robeval.values.suite import Suite
from robeval.values.threat import ThreatModel

Answer = TypeVar("Answer")
MOST = 20  # images beside each other, or rows below each other, that a page holds


class Sight:
    """A few images, and models that are asked about them one after the other.

    Args:
        jobs: the run of each model by itself, all on the same samples.
        ledger: where the batch shapes are recorded that the models are run in.
        suite: what they are attacked with, or would be.

    Attributes:
        x: float32 (n, c, h, w) in [0, 1].
        y: true classes, int64 (n,).
        names: of the models.

    Raises:
        UserError: there are too many images for a picture, or they have no colours.
    """

    def __init__(self, jobs: Sequence[api.Job], ledger: Ledger, suite: Suite) -> None:
        self._jobs = {name: job for job in jobs for name in job.models}
        self._ledger, self.suite = ledger, suite
        self.names = tuple(self._jobs)
        first = jobs[0]
        self.samples, self.seed = first.samples, first.plan.models[0].seed
        if len(self.samples) > MOST:
            raise UserError(
                f"{len(self.samples)} images do not fit into one picture",
                where="--sample",
                fix=f"Choose at most {MOST}, as 0:8, or stratified:10 for one of each class.",
            )
        if self.samples.shape[0] not in (1, 3):
            found = f"the images have {self.samples.shape[0]} channels, expected 1 or 3"
            raise UserError(found, where=self.about, fix="Choose another data set.")
        self.x, self.y = self.samples.slice(0, len(self.samples))

    @property
    def about(self) -> str:
        """The data: `digits (test 0:8)`."""
        return f"{self.samples.dataset} ({self.samples.split})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the models."""
        return tuple(dict.fromkeys(note for job in self._jobs.values() for note in job.notes))

    @property
    def heads(self) -> tuple[str, ...]:
        """What stands above each image."""
        return tuple(f"class {label}" for label in self.y.tolist())

    def ask(self, name: str, threat: ThreatModel, work: Callable[[Problem], Answer]) -> Answer:
        """What `work` makes of one model, the images and a ball; in the model's own batch shape.

        Raises:
            UserError: logits or gradients are NaN or infinite.
        """
        job = self._jobs[name]
        local = Local(job.models, job.samples, self._ledger, job.device, job.microbatch)
        x, y = local.slice(0, len(self.samples))
        problems: list[Problem] = []

        def asked(model: Microbatches) -> Answer:
            problem = Problem(model, x, y, threat, Noise(self.seed, "picture", 0, self.samples.ids, x.device))
            problems.append(problem)
            with torch.random.fork_rng([x.device] if x.is_cuda else []):
                torch.manual_seed(self.seed)
                return work(problem)

        found = local.ask(name, asked)
        if problems[-1].nonfinite.any():
            fix = "Check the model's weights and input normalisation."
            raise UserError("its logits or gradients are NaN or infinite", where=f"model '{name}'", fix=fix)
        return found

    def probabilities(self, name: str, points: Tensor) -> NDArray[np.float64]:
        """What a model says of images, one per sample, (n, k)."""
        ball = ThreatModel("linf", 0.0)
        logits = self.ask(name, ball, lambda problem: problem.logits(points.to(problem.x.device)).double().cpu())
        found: NDArray[np.float64] = logits.softmax(dim=1).numpy()
        return found

    def attacked(self, name: str, attack: str) -> Tensor:
        """The images that the suite's attack, or its worst case, makes of a model: float32 (n, c, h, w)."""
        job = self._jobs[name]
        found = adversarial(job.plan, job.models, job.samples, self._ledger, job.device, attack, job.microbatch)
        return torch.from_numpy(found.images)


def panel(image: Tensor, caption: str = "", *, alarm: bool = False) -> Panel:
    """An image, (c, h, w) in [0, 1]."""
    return Panel(_last(image), caption, alarm=alarm)


def signed(change: Tensor, length: float, caption: str = "") -> Panel:
    """Changes of pixels, (c, h, w), of which `length` is shown at full strength; of colours 0 is grey."""
    share = _last(change / length if length else change).clip(-1, 1)
    if share.ndim == 2:
        return Panel(share, caption, signed=True)
    return Panel((share + 1) / 2, caption)


def _last(image: Tensor) -> NDArray[np.float64]:
    """(h, w), or (h, w, 3), channels last."""
    pixels: NDArray[np.float64] = image.detach().cpu().double().permute(1, 2, 0).numpy()
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
