"""The judge, asked through the engine: attacks that cheat win nothing, whatever they return."""

import doubles
import numpy as np
import pytest
import torch
from doubles import GREY, ConvNet, Linear, cell, classes, images

from robeval.ops.microbatch import Microbatches
from robeval.run.engine import run_cell
from robeval.values.attack import SELECTS
from robeval.values.threat import ThreatModel

LINF, L2 = ThreatModel("linf", 0.1), ThreatModel("l2", 0.5)
both_norms = pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
every_select = pytest.mark.parametrize("select", SELECTS)


def judged(enter, attack, model, x, y, threat, **spec):
    return run_cell(cell(enter(attack), threat, len(x), **spec), Microbatches(model, 16), x, y)


class Changed(torch.nn.Module):
    """Sees every image but the given ones as class 1: whatever an attack changes would break it."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def forward(self, x):
        known = (x[:, None] == self.x[None]).flatten(2).all(dim=2).any(dim=1)
        return torch.stack([known.float(), 1 - known.float()], dim=1) + 0 * x.flatten(1).sum(dim=1, keepdim=True)


@pytest.fixture
def brittle():
    x = images(12, GREY, 0.2, 0.6)
    return Changed(x), x, torch.zeros(12, dtype=torch.int64)


@both_norms
def test_the_brittle_model_is_broken_by_any_honest_change(enter, brittle, threat):
    def honest(problem):
        return problem.project(problem.x + 0.01)

    found = judged(enter, honest, *brittle, threat)
    assert found.broken.all()
    assert not found.escaped.any()
    assert (found.predicted == 1).all()


@both_norms
@every_select
@pytest.mark.parametrize("attack", [doubles.outside_ball, doubles.just_outside_ball])
def test_outside_the_ball_is_no_success_and_is_reported(enter, brittle, threat, select, attack):
    found = judged(enter, attack, *brittle, threat, select=select)
    assert found.escaped.all()
    assert not found.broken.any()
    assert np.isnan(found.distance).all()
    assert found.attacked.all()


@both_norms
def test_outside_the_box_is_no_success_and_is_reported(enter, threat):
    x = torch.zeros(5, *GREY)
    found = judged(enter, doubles.outside_box, Changed(x), x, torch.zeros(5, dtype=torch.int64), threat)
    assert found.escaped.all()
    assert not found.broken.any()


@both_norms
@every_select
@pytest.mark.parametrize("attack", [doubles.not_a_number, doubles.infinite])
def test_nan_and_infinity_are_no_success_and_are_reported(enter, brittle, threat, select, attack):
    found = judged(enter, attack, *brittle, threat, select=select)
    assert found.nonfinite.all()
    assert not found.escaped.any(), "one reason is enough"
    assert not found.broken.any()
    assert (found.predicted == 0).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_are_no_success(enter, value):
    class Spoiled(torch.nn.Module):
        """Logits of changed images hold one value that is not finite."""

        def forward(self, logits_of):
            logits = Changed(x)(logits_of)
            return torch.where(logits[:, :1] > 0.5, logits, torch.tensor([0.0, value]))

    def honest(problem):
        return problem.project(problem.x + 0.01)

    x = images(6, GREY, 0.2, 0.6)
    found = judged(enter, honest, Spoiled(), x, torch.zeros(6, dtype=torch.int64), LINF)
    assert found.nonfinite.all()
    assert not found.broken.any()


def test_one_cheating_row_does_not_taint_its_neighbours(enter, brittle):
    def some(problem):
        adv = problem.project(problem.x + 0.01)
        adv[0] = 1 - adv[0]
        adv[1] = torch.nan
        adv[2] = -0.01
        adv[3] = problem.x[3]
        return adv

    found = judged(enter, some, *brittle, LINF)
    assert found.escaped.tolist() == [True, False, True] + 9 * [False]
    assert found.nonfinite.tolist() == [False, True] + 10 * [False]
    assert found.broken.tolist() == 4 * [False] + 8 * [True]


@pytest.mark.parametrize("attack", [doubles.wrong_shape, doubles.wrong_dtype])
def test_another_shape_or_type_is_an_error(enter, brittle, attack):
    with pytest.raises(ValueError, match=r"the attack returned \(.*\) torch.float.., expected \(12, 1, 6, 6\)"):
        judged(enter, attack, *brittle, LINF)


def test_the_opinion_of_an_attack_does_not_count(enter):
    """The attack sees what it likes; the verdict is the model's argmax at the candidate."""

    def lucky(problem):
        adv = problem.x.clone()
        adv[::2] = problem.project(adv - 0.1 * problem.steepest(problem.x))[::2]
        return adv

    model, x = Linear(seed=3, scale=3), images(40)
    y = classes(model, x)
    found = judged(enter, lucky, model, x, y, LINF)
    adv = x.clone()
    adv[::2] = (x - 0.1).clamp(0, 1)[::2]
    assert np.array_equal(found.broken, classes(model, adv) != y)
    assert 0 < found.broken.sum() < 20
    assert np.array_equal(found.predicted, classes(model, adv))


@both_norms
def test_the_distance_is_that_of_the_perturbation_that_broke_it(enter, brittle, threat):
    def one_pixel(problem):
        adv = problem.x.clone()
        adv[:, 0, 0, 0] += torch.arange(len(adv)) / 128  # the first image stays as it is
        adv[:, 0, 1, 1] -= torch.arange(len(adv)) / 256
        return adv

    _, x, y = brittle
    x = (x * 256).round() / 256
    found = judged(enter, one_pixel, Changed(x), x, y, threat)
    steps = np.arange(12) / 128
    wanted = steps if threat.norm == "linf" else np.sqrt(steps**2 + (steps / 2) ** 2)
    assert not found.broken[0]
    assert found.broken[1:].all()
    assert np.allclose(found.distance[1:], wanted[1:], rtol=1e-6)
    assert np.isnan(found.distance[0])


def test_exactly_eps_away_is_inside(enter):
    def edge(problem):
        return problem.x + 0.25

    x = torch.full((2, *GREY), 0.5)
    y = torch.zeros(2, dtype=torch.int64)
    assert judged(enter, edge, Changed(x), x, y, ThreatModel("linf", 0.25)).broken.all()
    found = judged(enter, edge, Changed(x), x, y, ThreatModel("linf", 0.2499999))
    assert found.escaped.all()
    assert not found.broken.any()


def test_of_equal_logits_the_lowest_class_is_the_answer(enter):
    class Tie(torch.nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :4] + torch.tensor([1.0, 2.0, 2.0, 0.0])

    def still(problem):
        return problem.x

    found = judged(enter, still, Tie(), images(4), torch.arange(4), LINF)
    assert found.broken.tolist() == [True, False, True, True]
    assert (found.predicted == 1).all()


def test_a_graph_that_the_attack_left_is_no_matter(enter):
    def attached(problem):
        return problem.x + torch.zeros(1, requires_grad=True)

    model, x = ConvNet(), images(5)
    assert not judged(enter, attached, model, x, classes(model, x), LINF).broken.any()
