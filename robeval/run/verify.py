"""Whether a model is what its card says, before anything is measured on it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robeval.datasets import registry as datasets
from robeval.datasets.registry import Samples
from robeval.values.card import ModelCard
from robeval.zoo.load import load_model

SAME = 1e-4  # of the largest logit: how far a logit may move with its neighbours
ALLOWED = 0.05  # points between the accuracy on all images and that of the card
SURE = 2.576  # standard errors of a 99 % interval


@dataclass(frozen=True, slots=True)
class Check:
    """One check: PASS, FAIL or "no number", and what was found."""

    name: str
    verdict: str
    evidence: str


def verify(card: ModelCard, checkpoint: Path | None, data_root: Path | None, limit: int | None) -> tuple[Check, ...]:
    """Load a model on the CPU and check its mode, its images, its answers in other batches, and its accuracy.

    Raises:
        UserError: the weights or the data are missing or do not fit.
    """
    samples = datasets.load(card.dataset, "test", datasets.data_roots(data_root), where=card.where)
    model = load_model(card, samples.shape, samples.num_classes, checkpoint)
    return (
        _evaluation_mode(model.module),
        _range(samples),
        _batches(model.module, samples),
        _accuracy(card, model.module, samples, min(limit or len(samples), len(samples))),
    )


def _evaluation_mode(module: nn.Module) -> Check:
    """Dropout and batch normalisation behave otherwise in training."""
    training = [name or "the model" for name, part in module.named_modules() if part.training]
    return Check("evaluation mode", "FAIL" if training else "PASS", f"{len(training)} parts in training mode")


def _range(samples: Samples) -> Check:
    x, _ = samples.slice(0, min(len(samples), 1000))
    low, high = float(x.min()), float(x.max())
    inside = low >= 0 and high <= 1
    return Check("images in [0, 1]", "PASS" if inside else "FAIL", f"the first {len(x)} are from {low:g} to {high:g}")


def _batches(module: nn.Module, samples: Samples) -> Check:
    """The same 32 images in batches of 1, 7 and 32: an answer that depends on neighbours is none about the image."""
    x, _ = samples.slice(0, 32)
    whole = _logits(module, x, 32)
    others = [_logits(module, x, size) for size in (1, 7)]
    moved = max(float((whole - other).abs().max()) for other in others)
    same = all(torch.equal(whole.argmax(dim=1), other.argmax(dim=1)) for other in others)
    fine = same and moved <= SAME * float(whole.abs().max().clamp_min(1))
    evidence = f"logits of {len(x)} images move by {moved:.1e} between batches of 1, 7 and 32"
    return Check("answers in other batches", "PASS" if fine else "FAIL", evidence)


def _accuracy(card: ModelCard, module: nn.Module, samples: Samples, n: int) -> Check:
    x, y = samples.slice(0, n)
    right = int((_logits(module, x, 250).argmax(dim=1) == y).sum())
    found = 100 * right / n
    stated = next((each for each in card.published if each.metric.startswith("natural accuracy")), None)
    evidence = f"{right} of {n}, {found:.2f} %"
    if stated is None:
        return Check("natural accuracy", "no number", f"{evidence}; the card states none")
    share = stated.value / 100
    allowed = ALLOWED if n == len(samples) else 100 * SURE * (share * (1 - share) / n) ** 0.5 + 100 / n
    verdict = "PASS" if abs(found - stated.value) <= allowed + 1e-9 else "FAIL"
    return Check("natural accuracy", verdict, f"{evidence}; the card states {stated.value:.2f} ({stated.source})")


def _logits(module: nn.Module, x: Tensor, size: int) -> Tensor:
    with torch.no_grad():
        return torch.cat([module(part) for part in x.split(size)])
