"""The released AutoAttack code as an oracle for Auto-PGD: the same start noise, and every point it asks about."""

import warnings

import pytest
import torch
from torch import nn

from robeval.ops.microbatch import Microbatches
from robeval.ops.problem import Problem

NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}


class Recorder(nn.Module):
    """Another model that notes the images it is asked about."""

    def __init__(self, model):
        super().__init__()
        self.model, self.points = model, []

    def forward(self, x):
        self.points.append(x.detach().clone())
        return self.model(x)


class Replay:
    """Start noise as that code draws it: from torch's generator, for the images that still stand."""

    problem = None

    def uniform(self, shape):
        return self._drawn(torch.rand, shape)

    def normal(self, shape):
        return self._drawn(torch.randn, shape)

    def _drawn(self, draw, shape):
        rows, noise = self.problem.active, torch.zeros(len(self.problem.y), *shape)
        noise[rows] = draw(len(rows), *shape)
        for _ in range(3 if self.problem.threat.norm == "l1" else 0):
            draw(len(rows), *shape)  # one for each radius, drawn and not used
        return noise


def ours(attack, model, x, y, threat, eot=1, **params):
    """What our attack answers from that noise, and the points it asked about."""
    recorder, noise = Recorder(model), Replay()
    noise.problem = Problem(Microbatches(recorder, len(x)), x, y, threat, noise, eot=eot)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return attack(noise.problem, **params), recorder.points


def theirs(kind, model, x, y, threat, **params):
    """What `APGDAttack` or `APGDAttack_targeted` answers, and the points it asked about after the images."""
    base = pytest.importorskip("pyautoattack.autopgd_base")
    recorder = Recorder(model)
    attack = getattr(base, kind)(
        recorder, norm=NORMS[threat.norm], eps=threat.eps, device="cpu", use_largereps=threat.norm == "l1", **params
    )
    with torch.random.fork_rng(devices=()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*zero gradient")
        return attack.perturb(x.clone(), y.clone()), recorder.points[1:]


def apart(one, other):
    """The largest difference of a pixel for each image, (n,)."""
    return (one - other).abs().flatten(1).amax(dim=1)
