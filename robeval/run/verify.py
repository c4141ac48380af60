"""Whether a model is what its card says, before anything is measured on it."""

from collections.abc import Callable
from contextlib import suppress
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
BATCH, FEW = 32, 200  # images that are asked about in one batch, and in all where the test set is not


@dataclass(frozen=True, slots=True)
class Check:
    """One check: PASS, FAIL or "no number", and what was found."""

    name: str
    verdict: str
    evidence: str


def verify(card: ModelCard, checkpoint: Path | None, data_root: Path | None, limit: int | None) -> tuple[Check, ...]:
    """Load a model on the CPU and check its mode, its range, its answers in other batches, and its accuracy.

    Raises:
        UserError: the weights or the data are missing or do not fit.
    """
    samples = datasets.load(card.dataset, "test", datasets.data_roots(data_root), where=card.where)
    model = load_model(card, samples.shape, samples.num_classes, checkpoint)
    x, y = samples.slice(0, min(len(samples), FEW))
    n = min(limit or len(samples), len(samples))
    return (
        _evaluation_mode(model.module, x[:BATCH]),
        _attempt("same answers twice", _twice, model.module, x[:BATCH]),
        _attempt("answers in other batches", _batches, model.module, x[:BATCH]),
        _images(samples),
        _attempt("input range", _range, model.module, x, y),
        _attempt("natural accuracy", _accuracy, card, model.module, samples, n),
    )


def _attempt(name: str, check: Callable[..., tuple[str, str]], *given: object) -> Check:
    """A check whose model may raise anything, as where a batch of one image has no variance."""
    try:
        return Check(name, *check(*given))
    except Exception as error:  # whatever the network raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Check(name, "FAIL", f"the network failed: {reason}")


def _evaluation_mode(module: nn.Module, x: Tensor) -> Check:
    """Dropout and batch normalisation behave otherwise in training, where the latter also counts what it sees."""
    training = [name or "the model" for name, part in module.named_modules() if part.training]
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with suppress(Exception):  # the other checks say why
        _logits(module, x, len(x))
    moved = [name for name, buffer in module.named_buffers() if not torch.equal(before[name], buffer)]
    evidence = f"{len(training)} parts in training mode, {len(moved)} buffers changed by a pass"
    return Check("evaluation mode", "FAIL" if training or moved else "PASS", evidence)


def _twice(module: nn.Module, x: Tensor) -> tuple[str, str]:
    """The same images in the same batch: dropout or noise in the forward pass gives other answers."""
    first, second = _logits(module, x, len(x)), _logits(module, x, len(x))
    moved = float((first - second).abs().max())
    fine = moved <= SAME * float(first.abs().max().clamp_min(1))
    return "PASS" if fine else "FAIL", f"logits of {len(x)} images move by {moved:.1e} from pass to pass"


def _batches(module: nn.Module, x: Tensor) -> tuple[str, str]:
    """The same images in batches of 1, 7 and 32: an answer that depends on neighbours is none about the image."""
    whole = _logits(module, x, BATCH)
    others = [_logits(module, x, size) for size in (1, 7)]
    moved = max(float((whole - other).abs().max()) for other in others)
    same = all(torch.equal(whole.argmax(dim=1), other.argmax(dim=1)) for other in others)
    fine = same and moved <= SAME * float(whole.abs().max().clamp_min(1))
    evidence = f"logits of {len(x)} images move by {moved:.1e} between batches of 1, 7 and {BATCH}"
    return "PASS" if fine else "FAIL", evidence


def _images(samples: Samples) -> Check:
    x, _ = samples.slice(0, min(len(samples), 1000))
    low, high = float(x.min()), float(x.max())
    inside = low >= 0 and high <= 1
    return Check("images in [0, 1]", "PASS" if inside else "FAIL", f"the first {len(x)} are from {low:g} to {high:g}")


def _range(module: nn.Module, x: Tensor, y: Tensor) -> tuple[str, str]:
    """Whether the network is right far more often about images in another range than about those in [0, 1]."""
    mean, std = x.mean(dim=(0, 2, 3), keepdim=True), x.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-6)
    usual = _logits(module, x, BATCH)
    if broken := int((~usual.isfinite()).any(dim=1).sum()):
        return "FAIL", f"the logits of {broken} of {len(x)} images in [0, 1] are NaN or infinite"
    others = {"[0, 255]": 255 * x, "[-1, 1]": 2 * x - 1, "mean 0 and deviation 1": (x - mean) / std}
    logits = {"[0, 1]": usual} | {name: _logits(module, each, BATCH) for name, each in others.items()}
    right = {name: int((found.argmax(dim=1) == y).sum()) for name, found in logits.items()}
    best = max(right, key=lambda name: right[name])  # the first of equals
    chance = SURE * (0.5 * len(x)) ** 0.5  # of a difference between two counts, at its widest
    if right[best] - right["[0, 1]"] <= chance:
        return "PASS", f"{right['[0, 1]']} of {len(x)} are right in [0, 1], {_others(right)}"
    found = f"{right[best]} of {len(x)} are right as {best}, {right['[0, 1]']} as [0, 1]"
    return "FAIL", f"{found}: the card's [input] lacks what the network was trained with"


def _others(right: dict[str, int]) -> str:
    return ", ".join(f"{count} as {name}" for name, count in right.items() if name != "[0, 1]")


def _accuracy(card: ModelCard, module: nn.Module, samples: Samples, n: int) -> tuple[str, str]:
    x, y = samples.slice(0, n)
    right = int((_logits(module, x, 250).argmax(dim=1) == y).sum())
    found = 100 * right / n
    stated = next((each for each in card.published + card.measured if each.metric.startswith("natural accuracy")), None)
    evidence = f"{right} of {n}, {found:.2f} %"
    if stated is None:
        return "no number", f"{evidence}; the card states none"
    share = stated.value / 100
    allowed = ALLOWED if n == len(samples) else 100 * SURE * (share * (1 - share) / n) ** 0.5 + 100 / n
    verdict = "PASS" if abs(found - stated.value) <= allowed + 1e-9 else "FAIL"
    return verdict, f"{evidence}; the card states {stated.value:.2f} ({stated.source})"


def _logits(module: nn.Module, x: Tensor, size: int) -> Tensor:
    with torch.no_grad():
        return torch.cat([module(part) for part in x.split(size)])
