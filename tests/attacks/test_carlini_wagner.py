"""Carlini & Wagner's attacks against exact minimal distances, and against two libraries with traps."""

import math

import pytest
import torch
from doubles import COLOUR, Constant, Linear, classes, images, problem
from exact import linear_distance
from torch import nn

from robeval.attacks.carlini_wagner import carlini_wagner
from robeval.values.threat import ThreatModel

L2, LINF = ThreatModel("l2", math.inf), ThreatModel("linf", math.inf)
GIVEN = {
    "l2": {"steps": 300, "step_size": 0.02, "searches": 8},
    "linf": {"steps": 200, "step_size": 0.02, "initial_c": 1e-3, "searches": 12},
}
THREAT = {"l2": L2, "linf": LINF}


# ── the search over c ──


class Slope(nn.Module):
    """Two classes and one pixel; the boundary is at `at`, and the logits differ by `steep` a unit before it."""

    def __init__(self, at: float, steep: float) -> None:
        super().__init__()
        self.at, self.steep = at, steep

    def forward(self, x):
        gap = self.steep * (self.at - x.flatten(1).sum(dim=1))
        return torch.stack([gap, 0 * gap], dim=1) - 10


HALF = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])


def test_c_grows_tenfold_to_the_first_success_and_is_bisected_after_it():
    """Beyond the boundary only the distance pulls; before it c * steep against 2 * 0.2: c > 0.4 succeeds."""
    for values, found in ((2, False), (3, True)):  # 0.01, 0.1, 1
        asked = problem(Slope(0.7, 1.0), *HALF, L2)
        adv = carlini_wagner(asked, steps=300, step_size=0.02, searches=values, abort_early=False)
        assert (classes(asked.model.model, adv) == 1).item() is found
        assert asked.forwards.item() == 300 * values + 1
        if found:
            assert adv.item() == pytest.approx(0.7, abs=0.01)


def test_runs_without_progress_are_cut_short():
    """c = 0.01 is settled soon; each run that is cut ends at a multiple of a tenth of the steps."""
    model, x = Linear(COLOUR, 3), images(12, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    asked, patient = (problem(model, x, y, L2) for _ in range(2))
    short = carlini_wagner(asked, steps=200, step_size=0.02)
    long = carlini_wagner(patient, steps=200, step_size=0.02, abort_early=False)
    assert set(patient.backwards.tolist()) == {1000}
    assert asked.backwards.max() < 1000
    assert (asked.backwards % 20 <= 5).all()
    assert torch.equal(asked.forwards, asked.backwards + 1)
    both = (classes(model, short) != y) & (classes(model, long) != y)
    assert both.sum() > 8
    assert (asked.distance(short) / asked.distance(long))[both].median() < 1.1


def test_kappa_goes_on_beyond_the_boundary_but_what_counts_is_the_nearest():
    model, x = Linear(COLOUR, 3), images(8, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    near, far = (
        carlini_wagner(problem(model, x, y, L2), steps=200, step_size=0.02, searches=8, kappa=kappa)
        for kappa in (0.0, 1.0)
    )
    assert (classes(model, far) != y).all()
    best = linear_distance(model, x, y, "l2")
    for adv in (near, far):
        assert (problem(model, x, y, L2).distance(adv) - best).min() > -1e-6


@pytest.mark.parametrize("norm", THREAT)
def test_nothing_to_climb_and_nothing_to_do(norm):
    x = images(4)
    y = torch.tensor([0, 0, 1, 1])
    asked = problem(Constant(2), x, y, THREAT[norm])
    assert torch.equal(carlini_wagner(asked, steps=10, searches=2), x)


# ── what other implementations do ──


def test_torchattacks_cannot_leave_the_border_and_takes_0_for_the_strongest_rival():
    """w = atanh(+-1) is infinite, and its gradient with it; its rival is max(0, z_j), never below 0."""
    torchattacks = pytest.importorskip("torchattacks")
    black, y = torch.zeros(1, 1, 1, 1), torch.tensor([0])
    grey = torch.full((1, 1, 1, 1), 0.5)

    class Positive(Slope):
        def forward(self, x):
            return super().forward(x) + 20

    for model, x in ((Positive(0.2, 5.0), black), (Slope(0.7, 5.0), grey)):
        theirs = torchattacks.CW(model, c=10, steps=300, lr=0.05)(x, y)
        assert classes(model, theirs).item() == 0
        asked = problem(model, x, y, L2)
        ours = carlini_wagner(asked, steps=300, step_size=0.05, initial_c=10, searches=2, abort_early=False)
        assert classes(model, ours).item() == 1
        assert ours.item() == pytest.approx(model.at, abs=0.02)


def test_as_near_as_foolbox_and_nearer_than_torchattacks_on_a_trained_network(trades):
    """foolbox returns a black image where it finds nothing; and all its images stop when their sum stands still."""
    foolbox, torchattacks = pytest.importorskip("foolbox"), pytest.importorskip("torchattacks")
    model, x, y = trades[0], trades[1][:16], trades[2][:16]
    asked = problem(model, x, y, L2, size=16)
    adv = carlini_wagner(asked, steps=50, step_size=0.15, searches=2, initial_c=1000, abort_early=False)
    ours = asked.distance(adv)
    broken = classes(model, adv) != y
    assert broken.sum() >= 8
    kind = foolbox.attacks.L2CarliniWagnerAttack(2, 50, 0.15, initial_const=1000, abort_early=False)
    for name, theirs in (
        ("foolbox", kind(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=None)[0]),
        ("torchattacks", torchattacks.CW(model, c=1000, steps=100, lr=0.15)(x, y)),
    ):
        found = (classes(model, theirs) != y) & (theirs != 0).flatten(1).any(dim=1)
        assert broken.sum() >= found.sum() - 1, name
        both = broken & found
        assert ours[both].median() <= 1.02 * asked.distance(theirs)[both].median(), name
