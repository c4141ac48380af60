"""How long a run may take, before it begins."""

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from robeval.values.attack import AttackSpec

_FACTORS = ("steps", "queries", "targets", "searches", "tries")  # parameters that multiply an attack's passes
_ROWS, _TRIES = 32, 10  # the first passes are slow
_LONG = 0.1  # seconds; what takes so long for one image takes about as long for each of many


def passes(attacks: Iterable[AttackSpec]) -> int:
    """Passes forward and back through the model per sample, were none broken on the way: no less than there will be.

    Searches that stop when they have found something make fewer.
    """
    return sum(_passes(spec) for spec in attacks)


def _passes(spec: AttackSpec) -> int:
    return repeated(spec.params) * _searches(spec) * spec.restarts * spec.eot


def _searches(spec: AttackSpec) -> int:
    """How often an attack repeats all its steps in a search, where none of its parameters is just that number."""
    searches, doublings = spec.params.get("searches"), spec.params.get("doublings")
    given = searches if isinstance(searches, int) else None
    if spec.use == "carlini_wagner" and spec.threat.norm == "linf":
        return 74 if given is None else math.ceil((given + 53) / given)
    if spec.use == "carlini_wagner":
        return 5 if given is None else 1
    if spec.use == "lbfgs":  # doublings up to the first that breaks the image, halvings back from there
        return doublings if isinstance(doublings, int) else 1
    return 2 if spec.use == "mifgsm_search" else 1


def repeated(params: Mapping[str, Any]) -> int:
    """How often an attack or a measure with these parameters asks the model, per sample."""
    counts = (params.get(name) for name in _FACTORS)
    return math.prod(count for count in counts if isinstance(count, int))


def seconds_per_pass(net: nn.Module, shape: tuple[int, int, int], device: torch.device) -> float:
    """The time of one pass forward and back to the image, per image; the best of a few on black images."""
    net = net.to(device).eval()
    one = min(_pass(net, 1, shape, device) for _ in range(2))
    if one > _LONG:
        return one
    return min(_pass(net, _ROWS, shape, device) for _ in range(_TRIES)) / _ROWS


def _pass(net: nn.Module, rows: int, shape: tuple[int, int, int], device: torch.device) -> float:
    x = torch.zeros(rows, *shape, device=device, requires_grad=True)
    start = time.perf_counter()
    torch.autograd.grad(net(x).sum(), x)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_words(seconds: float) -> str:
    """`3 min`; never less than a second."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"
