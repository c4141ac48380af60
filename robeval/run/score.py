"""What an array of adversarial images does to a model, by the rules of a public challenge."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.ops.decisions import misclassified
from robeval.ops.microbatch import Microbatches
from robeval.run import challenge
from robeval.run.bench import exact_arithmetic
from robeval.zoo import cards
from robeval.zoo.load import load_model

ROWS = 200  # at a time; one shape, so that the score is the same every time


@dataclass(frozen=True, slots=True)
class Score:
    """What was found.

    Attributes:
        broken: images that follow the rules and are misclassified.
        valid: images that follow the rules.
        violations: each way in which others do not.
        kinds: the same with every image.
    """

    model: str
    n: int
    valid: int
    broken: int
    violations: tuple[str, ...]
    kinds: tuple[challenge.Kind, ...]

    @property
    def summary(self) -> str:
        """In one sentence."""
        if not self.valid:
            return f"{self.model}: none of the {self.n} images follows the rules, so nothing counts"
        robust = 100 * (self.n - self.broken) / self.n
        return (
            f"{self.model}: robust accuracy {robust:.2f} % under these images: {self.broken} of {self.n} are "
            f"misclassified and follow the rules, which {self.valid} do"
        )


def score(
    file: Path, model: str, rules: str, checkpoint: Path | None, data_root: Path | None, device: torch.device
) -> Score:
    """Check the array in `file` and classify the images that follow the rules.

    Raises:
        UserError: the array, the model, its weights or the data cannot be had, or the array has another form.
    """
    card = cards.load(model)
    form = challenge.find(rules, card.dataset)
    array = challenge.read(file)
    samples = datasets.load(card.dataset, "test", datasets.data_roots(data_root), where=card.where)
    if wrong := challenge.wrong_form(form, array, len(samples)):
        fix = f"Write one image for each test image of {card.dataset}, in order, floats from 0 to {form.scale:g}."
        raise UserError(wrong, where=file, fix=fix)
    module = load_model(card, samples.shape, samples.num_classes, checkpoint).module.to(device)
    x, y = samples.slice(0, len(samples))
    found, valid = challenge.violations(form, array, x.numpy())
    images = torch.from_numpy(form.unpacked(np.nan_to_num(array), samples.shape))
    runner = Microbatches(module, ROWS)
    with exact_arithmetic(torch.get_num_threads()):
        logits = torch.cat([runner.logits(part.to(device)).cpu() for part in images.split(ROWS)])
    broken = misclassified(logits, y).numpy() & valid
    kinds = tuple(challenge.kinds(form, array, x.numpy()))
    return Score(card.id, len(samples), int(valid.sum()), int(broken.sum()), tuple(found), kinds)
