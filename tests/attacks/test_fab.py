"""FAB against exact minimal distances, and against the code of its authors."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from doubles import COLOUR, GREY, ConvNet, Linear, cell, classes, images, problem
from exact import ReluNet, linear_distance, near_the_border, relu_distance
from torch import nn

from robeval.attacks import registry
from robeval.attacks.fab import fab, fab_targeted
from robeval.errors import UserError
from robeval.ops import geometry
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.run.engine import run_cell
from robeval.values.attack import AttackSpec
from robeval.values.threat import ThreatModel

NORMS = ("linf", "l2", "l1")
EPS = {"linf": 0.1, "l2": 0.5, "l1": 2.0}
OFFICIAL = {"linf": "Linf", "l2": "L2", "l1": "L1"}
every_norm = pytest.mark.parametrize("norm", NORMS)
both = pytest.mark.parametrize("attack", [fab, fab_targeted])


def free(norm):
    """No ball: make the distance as small as possible."""
    return ThreatModel(norm, math.inf)


def distances(attack, model, x, y, norm, restart=0, eps=math.inf, **given):
    """How far the result is; infinite where nothing was found."""
    noise = Noise(0, "test", restart, range(len(y)))
    asked = Problem(Microbatches(model, 32), x, y, ThreatModel(norm, eps), noise)
    adv = attack(asked, **given)
    lengths = asked.distance(adv)
    assert (lengths[classes(model, adv) == y] == 0).all(), "what is not misclassified is the clean image"
    return torch.where(lengths == 0, torch.inf, lengths)


# ── known answers ──


@both
@every_norm
@pytest.mark.parametrize("steps", [5, 50])
def test_linear_models_are_solved_exactly(attack, norm, steps):
    model, x = Linear(COLOUR, 2), images(48, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    found, best = distances(attack, model, x, y, norm, steps=steps), linear_distance(model, x, y, norm)
    assert (best.isfinite() & (best > 0)).all()
    assert (found >= best * (1 - 1e-4)).all()
    assert torch.allclose(found, best, rtol=1e-4, atol=1e-5)


@both
@every_norm
@pytest.mark.parametrize("seed", range(3))
def test_linear_models_are_solved_exactly_where_the_box_is_in_the_way(attack, norm, seed):
    """A second projection is needed where the first point is cut by the box; the bias moves the boundary far away."""
    model, x = Linear(COLOUR, 2, seed), near_the_border(48, COLOUR, seed)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([8.0, -8.0]))
    y = torch.zeros(48, dtype=torch.int64)
    best, unboxed = linear_distance(model, x, y, norm), model.margin(x, y, norm)
    reachable = best.isfinite() & (best > 0)
    assert reachable.sum() > 10
    assert (best > 1.01 * unboxed)[reachable].all()
    found = distances(attack, model, x, y, norm, steps=30)
    assert (found >= best * (1 - 1e-4))[best > 0].all()
    assert torch.allclose(found[reachable], best[reachable], rtol=1e-4, atol=1e-5)


@both
@every_norm
@pytest.mark.parametrize("k", [4, 6, 10])
def test_the_nearest_of_many_planes_is_found(attack, norm, k):
    """The plane that is nearest without a box need not be the nearest inside it."""
    for seed in range(3):
        model, x = Linear(COLOUR, k, seed), near_the_border(24, COLOUR, seed)
        y = classes(model, x)
        best = linear_distance(model, x, y, norm)
        found = distances(attack, model, x, y, norm, steps=10)
        assert (found >= best - 1e-6).all()
        assert torch.allclose(found, best, rtol=1e-4, atol=1e-5)


@every_norm
def test_fewer_targets_find_less(norm):
    model, x = Linear(GREY, 5), near_the_border(40)
    y = classes(model, x)
    all_, fewer = (distances(fab_targeted, model, x, y, norm, steps=20, targets=targets) for targets in (4, 1))
    assert (fewer >= all_).all()
    assert (fewer > all_ * 1.01).any()


@cache
def small(norm):
    """A network with 5 hidden units, images of 6 pixels, and exact distances."""
    model, x = ReluNet(seed=1), images(16, (1, 2, 3), seed=1)
    return model, x, classes(model, x), relu_distance(model, x, classes(model, x), norm)


@both
@every_norm
def test_small_relu_networks_within_a_factor_of_the_optimum(attack, norm):
    """Kinks next to the image mislead linear models of it; most images are solved exactly all the same."""
    model, x, y, best = small(norm)
    runs = [distances(attack, model, x, y, norm, restart=restart, steps=30) for restart in range(4)]
    found = torch.stack(runs).amin(dim=0)
    assert (found >= best * (1 - 1e-4)).all()
    share = found[best.isfinite()] / best[best.isfinite()]
    assert share.isfinite().float().mean() > 0.9
    share = share[share.isfinite()]
    assert share.median() < 1.001
    assert share.mean() < 1.2


def test_a_point_just_short_of_the_boundary_is_pushed_over_it():
    """A step from the far side ends 1e-8 short of the boundary; steps of that size are lost in float32."""
    model, x = ConvNet(COLOUR), images(6, COLOUR)[5:]
    y = classes(model, x)
    plain, pushed = (
        distances(fab_targeted, model, x, y, "l2", steps=25, targets=1, parity=parity)
        for parity in ("autoattack", "none")
    )
    assert pushed < 0.9 * plain


@both
@every_norm
def test_a_boundary_outside_the_box_is_not_found(attack, norm):
    model, x = Linear(GREY, 2), images(8)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([1000.0, 0.0]))
    y = torch.zeros(8, dtype=torch.int64)
    assert torch.equal(attack(problem(model, x, y, free(norm)), steps=5), x)


# ── the authors' code ──


class Injected:
    """Noise from torch's global generator, in the order in which the authors' code draws it."""

    restart = 1

    def __init__(self, n):
        self.n = n

    def uniform(self, shape):
        return torch.rand(self.n, *shape)

    def normal(self, shape):
        return torch.randn(self.n, *shape)


class Walked(nn.Module):
    """Another model that keeps the images about whose gradient it is asked: the iterates of FAB."""

    def __init__(self, model):
        super().__init__()
        self.model, self.points = model, []

    def forward(self, x):
        if x.requires_grad:
            self.points.append(x.detach().clone())
        return self.model(x)


def official(model, x, y, norm, steps, targets, eps, restart):
    """What one run of FABAttack_PT returns for each target, or without targets if there are 0, and its iterates."""
    pt = pytest.importorskip("pyautoattack.fab_pt")
    walked = Walked(model)
    theirs = pt.FABAttack_PT(walked, norm=OFFICIAL[norm], n_iter=steps, eps=eps, targeted=targets > 0)
    torch.manual_seed(0)
    found = []
    for target in range(2, targets + 2) if targets else (0,):
        theirs.target_class = target
        found.append(theirs.attack_single_run(x, y, use_rand_start=restart > 0, is_targeted=targets > 0))
    return found, walked.points


def nearest_of(x, norm, candidates):
    lengths = torch.stack([geometry.distance(adv, x, norm) for adv in candidates])
    return torch.where(lengths == 0, torch.inf, lengths).amin(dim=0)


@every_norm
@pytest.mark.parametrize("targets", [0, 3])
@pytest.mark.parametrize("restart", [0, 1])
def test_the_official_code_makes_the_same_steps(norm, targets, restart):
    """One batch, the same noise, every iterate; without what is our own. With it the points are nearer.

    On a smooth network: where slopes jump, a difference in the last bit can send an image another way. So it does
    where an iterate is on the boundary up to rounding, which happens to one image after a random start.
    """
    model, x = ConvNet(COLOUR, kind=nn.Tanh), images(32, COLOUR)
    y = classes(model, x)
    run = fab_targeted if targets else fab
    noise = Injected(32) if restart else Noise(0, "test", 0, range(32))
    given = {"targets": targets} if targets else {}
    torch.manual_seed(0)
    eps = EPS[norm] if restart else 1e-6
    walked = Walked(model)
    asked = Problem(Microbatches(walked, 32), x, y, ThreatModel(norm, eps), noise)
    asked.retire = lambda rows: None  # no image leaves the queue, as there is none in `official`
    ours = run(asked, steps=25, parity="autoattack", **given)
    candidates, points = official(model, x, y, norm, 25, targets, eps, restart)
    assert len(walked.points) == len(points) == 25 * max(targets, 1)
    apart = torch.stack([(one - other).abs().amax(dim=(1, 2, 3)) for one, other in zip(walked.points, points)])
    together = apart.amax(dim=0) < 1e-5
    assert together.sum() >= 32 - restart
    best, found = nearest_of(x, norm, candidates), nearest_of(x, norm, [ours])
    assert best.isfinite().all()
    assert ((found / best - 1).abs() < 1e-3).float().mean() > 0.9, "which of two iterates is across may be rounding"
    if not restart:
        searched = distances(run, model, x, y, norm, eps=1e-6, steps=25, **given)
        assert (searched <= found * 1.001).float().mean() > 0.9
        assert searched.mean() < 0.9995 * found.mean()


def test_the_official_code_leaves_the_same_images_of_a_trained_network_standing(trades):
    """Its queue and ours: an image that is within eps is not attacked with the targets that follow."""
    pt = pytest.importorskip("pyautoattack.fab_pt")
    model, x, y = trades[0], trades[1][:30], trades[2][:30]
    for eps in (0.3, 0.5):
        theirs = pt.FABAttack_PT(model, norm="Linf", n_iter=8, eps=eps, targeted=True, n_target_classes=2)
        adv = theirs.perturb(x, y)
        asked = problem(model, x, y, ThreatModel("linf", eps), 30)
        ours = fab_targeted(asked, steps=8, targets=2, parity="autoattack")
        lengths = asked.distance(ours)
        broken = (classes(model, ours) != y) & (lengths <= eps)
        assert torch.equal(broken, classes(model, adv) != y)
        assert torch.allclose(lengths[broken], asked.distance(adv)[broken], atol=1e-4)
    assert 5 < broken.sum() < 30
    assert len(set(asked.forwards.tolist())) > 1


# ── restarts ──


@every_norm
def test_the_first_restart_starts_at_the_image_and_later_ones_at_half_of_eps(norm):
    model, x = ConvNet(GREY), images(16, low=0.45, high=0.55)
    y, seen = classes(model, x), []

    def watch(problem, rows, points, logits, values):
        seen.append(points)

    for eps, expected in ((EPS[norm], EPS[norm]), (math.inf, {"linf": 0.3, "l2": 1.0, "l1": 5.0}[norm])):
        for restart in range(2):
            seen.clear()
            noise = Noise(0, "test", restart, range(16))
            asked = Problem(Microbatches(model, 32), x, y, ThreatModel(norm, eps), noise, watch)
            fab_targeted(asked, steps=1, targets=2)
            starts = seen[1], seen[3]  # the first point is the image, whose logits rank the targets
            if restart == 0:
                assert all(torch.equal(start, x) for start in starts)
            else:
                for start in starts:
                    assert torch.allclose(asked.distance(start), torch.tensor(expected / 2).double(), rtol=1e-4)
                assert not torch.equal(*starts)


@both
def test_restarts_find_more(attack):
    """The nearest of several starts is what a cell reports."""
    model = ReluNet(seed=1)
    x = images(24, (1, 2, 3), seed=1)
    y = classes(model, x)
    found = [
        run_cell(
            cell(attack.__name__, ThreatModel("l2", 1e-3), 24, params={"steps": 20}, minimises="l2", restarts=restarts),
            Microbatches(model, 32),
            x,
            y,
        ).distance
        for restarts in (1, 4)
    ]
    assert (np.nan_to_num(found[1], nan=np.inf) <= np.nan_to_num(found[0], nan=np.inf)).all()
    assert np.nansum(found[0] - found[1]) > 0


# ── keywords ──


def fitted(classes_, **given):
    spec, wrong = registry.check(AttackSpec("a", "fab_targeted", ThreatModel("linf", 0.3), given), "suite")
    assert wrong == []
    return registry.catalog()["fab_targeted"].fit(spec.params, classes_)["targets"]


def test_the_number_of_targets_is_filled_in_for_the_number_of_classes():
    assert [fitted(k) for k in (2, 3, 10, 11, 1000)] == [1, 2, 9, 9, 9]
    assert fitted(1000, targets=30) == 30
    assert fitted(3, targets=1) == 1
    with pytest.raises(UserError, match="'targets' is 10, expected at most 9: 10 classes have 9 wrong ones"):
        fitted(10, targets=10)
    _, wrong = registry.check(AttackSpec("a", "fab_targeted", ThreatModel("l2", 0.3), {"targets": 0}), "suite")
    assert "'targets' is 0" in str(wrong[0])


@both
@every_norm
def test_two_classes(attack, norm):
    model, x = Linear(GREY, 2), images(10)
    y = classes(model, x)
    found = attack(problem(model, x, y, free(norm)), steps=10)
    assert (classes(model, found) != y).all()


def test_more_steps_are_never_worse():
    model, x = ConvNet(GREY), images(16)
    y = classes(model, x)
    lengths = [distances(fab, model, x, y, "l2", steps=steps, parity="autoattack") for steps in (2, 8, 32)]
    assert (lengths[1] <= lengths[0]).all()
    assert (lengths[2] <= lengths[1]).all()
    assert lengths[2].sum() < lengths[0].sum()


def test_passes_that_are_made():
    model, x = ConvNet(GREY, 4), images(6)
    y = classes(model, x)
    for attack, parity, forwards, backwards in (
        (fab, "none", 2 * 5 + 8, 4 * 5 + 6),
        (fab, "autoattack", 2 * 5 + 1, 4 * 5),
        (fab_targeted, "none", 2 * 3 * 5 + 8, 3 * 5 + 5),
        (fab_targeted, "autoattack", 2 * 3 * 5 + 1, 3 * 5),
    ):
        asked = problem(model, x, y, ThreatModel("l2", 1e-6))
        attack(asked, steps=5, parity=parity)
        assert set(asked.forwards.tolist()) == {forwards}
        assert set(asked.backwards.tolist()) == {backwards}
