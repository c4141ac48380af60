"""DeepFool against exact minimal distances, and against two libraries that each stop for another reason."""

import math

import pytest
import torch
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem
from exact import linear_distance, near_the_border

from robeval.attacks.deepfool import deepfool
from robeval.values.threat import ThreatModel

ANYWHERE = {norm: ThreatModel(norm, math.inf) for norm in ("linf", "l2")}
NORMS, ENDS = tuple(ANYWHERE), ("end", "each_step")
every_norm = pytest.mark.parametrize("norm", NORMS)


@every_norm
@pytest.mark.parametrize("overshoot_at", ENDS)
def test_linear_models_are_solved_exactly_where_no_pixel_meets_the_box(norm, overshoot_at):
    for k in (2, 5, 12):
        model, x = Linear(COLOUR, k), images(30, COLOUR, 0.3, 0.7)
        y = classes(model, x)
        asked = problem(model, x, y, ANYWHERE[norm])
        adv = deepfool(asked, candidates=k, overshoot=1e-6, overshoot_at=overshoot_at)
        assert (classes(model, adv) != y).all()
        best = linear_distance(model, x, y, norm)
        further = asked.distance(adv) - best
        assert further.min() > -1e-6
        assert further.max() < 1.01e-4
        stretched = asked.distance(
            deepfool(problem(model, x, y, ANYWHERE[norm]), candidates=k, overshoot_at=overshoot_at)
        )
        far = best > 2e-3  # of a shorter way rounding is more than a share of 1e-4
        assert far.sum() > 15
        assert ((stretched / best - 1.02).abs() < 1e-4)[far].all(), "1 + the default overshoot"


@every_norm
@pytest.mark.parametrize("seed", range(3))
def test_linear_models_are_solved_exactly_where_the_box_is_in_the_way(norm, seed):
    """The class whose boundary is the nearest without the box need not be the one inside it."""
    for k in (2, 4, 5, 12):
        model, x = Linear(COLOUR, k, seed), near_the_border(30, COLOUR, seed)
        y = classes(model, x)
        asked = problem(model, x, y, ANYWHERE[norm])
        adv = deepfool(asked, candidates=k, overshoot=1e-6)
        assert (classes(model, adv) != y).all()
        best = linear_distance(model, x, y, norm)
        assert (best > model.margin(x, y, norm) + 1e-4).sum() > 10, "the box is in the way"
        further = asked.distance(adv) - best
        assert further.min() > -1e-6
        assert further.max() < 1.01e-4


def test_overshoot_stretches_the_whole_move_or_each_step():
    """One pixel from 0.5; the gap falls with slope 2 to 0.1 at 0.6, then with slope 1/2 to 0 at 0.8.

    `end`: steps of 0.15 and 0.15 to the boundary, stretched to 0.36. `each_step`: 0.15 stretched to 0.18, where a
    gap of 0.06 is left, and 0.12 stretched to 0.144.
    """

    class Bend(torch.nn.Module):
        def forward(self, x):
            t = x[:, 0, 0, 0]
            gap = torch.maximum(0.3 - 2 * (t - 0.5), 0.1 - 0.5 * (t - 0.6))
            return torch.stack([gap, 0 * gap], dim=1)

    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    for at, expected in (("end", 0.86), ("each_step", 0.824)):
        asked = problem(Bend(), x, y, ANYWHERE["linf"])
        adv = deepfool(asked, overshoot=0.2, overshoot_at=at)
        assert adv.item() == pytest.approx(expected, abs=1e-6)
        assert asked.forwards.item() == 5, "two steps"


@every_norm
def test_only_the_likely_classes_are_looked_at(norm):
    """With two candidates the move goes to the runner-up of the clean image, however far its boundary is."""
    model, x = Linear(COLOUR, 6), images(40, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    runner_up = model(x).topk(2).indices[:, 1]
    near, far = (problem(model, x, y, ANYWHERE[norm]) for _ in range(2))
    pair, all_ = deepfool(far, candidates=2), deepfool(near, candidates=6)
    assert (classes(model, all_) != runner_up).any()
    assert (far.distance(pair) > 1.1 * near.distance(all_)).any()
    straight = classes(model, pair) == runner_up
    assert straight.sum() > 25
    assert set(far.backwards.tolist()) == {2}


@every_norm
def test_rows_stop_at_their_first_misclassification_and_wrong_ones_stay_clean(norm):
    model, x = Linear(COLOUR, 4), images(20, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    y[::4] = (y[::4] + 1) % 4
    asked = problem(model, x, y, ANYWHERE[norm])
    adv = deepfool(asked)
    wrong = torch.arange(20) % 4 == 0
    assert torch.equal(adv[wrong], x[wrong])
    assert set(asked.forwards[wrong].tolist()) == {1}
    assert set(asked.backwards[wrong].tolist()) == {0}
    assert set(asked.forwards[~wrong].tolist()) == {3}, "the candidates, the slopes, and whether the step was enough"
    assert set(asked.backwards[~wrong].tolist()) == {4}


@every_norm
def test_a_gradient_of_zero_moves_nothing(norm):
    x, y = images(4), torch.zeros(4, dtype=torch.int64)
    assert torch.equal(deepfool(problem(Constant(3), x, y, ANYWHERE[norm]), steps=3), x)


@every_norm
def test_a_tie_is_crossed(norm):
    """Equal logits count as the class of the lower number, and the boundary is at no distance at all."""
    model = Linear((1, 2, 2), 2)
    model.bias.data.zero_()
    x, y = torch.full((1, 1, 2, 2), 0.5), torch.tensor([0])
    asked = problem(model, x, y, ANYWHERE[norm])
    adv = deepfool(asked)
    assert classes(model, adv).item() == 1
    assert asked.distance(adv).item() < 1.1e-4


def foolbox_deepfool(norm, model, x, y, steps):
    foolbox = pytest.importorskip("foolbox")
    kind = {"l2": foolbox.attacks.L2DeepFoolAttack, "linf": foolbox.attacks.LinfDeepFoolAttack}[norm]
    return kind(steps=steps)(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=None)[0]


@every_norm
def test_foolbox_arrives_at_the_same_points_where_no_pixel_meets_the_box(norm):
    """It adds 1e-4 to every step, where ours is at least that long, and stretches the sum of all steps.

    Without clipping that is the same as stretching each.
    """
    model, x = ConvNet(COLOUR, kind=torch.nn.Tanh), images(24, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    asked = problem(model, x, y, ANYWHERE[norm])
    ours, theirs = deepfool(asked, overshoot_at="each_step"), foolbox_deepfool(norm, model, x, y, 50)
    assert (classes(model, ours) != y).all()
    assert (asked.distance(ours) - asked.distance(theirs)).abs().max() < 5e-4
    assert (asked.distance(ours) <= asked.distance(theirs) + 1e-6).float().mean() > 0.9


@pytest.mark.parametrize(("norm", "steps"), [("l2", 25), ("linf", 6)])
def test_foolbox_is_no_better_on_a_trained_network(norm, steps, trades):
    """Most pixels of a digit are at the border of the box, so the two walk on from other points.

    Neither is a refinement of the other then: some images are nearer in one, some in the other.
    """
    model, x, y = trades[0], trades[1][:32], trades[2][:32]
    asked = problem(model, x, y, ANYWHERE[norm], size=16)
    ours, theirs = deepfool(asked, steps=steps), foolbox_deepfool(norm, model, x, y, steps)
    broken, they = classes(model, ours) != y, classes(model, theirs) != y
    assert broken.sum() >= they.sum() - 4
    both = broken & they
    assert both.sum() >= 16
    assert asked.distance(ours)[both].median() < 1.15 * asked.distance(theirs)[both].median()


def test_torchattacks_stands_still_just_before_the_boundary_and_we_cross_it(trades):
    """Where the box cuts steps short its last ones are too short for float32, so it ends on the right side."""
    torchattacks = pytest.importorskip("torchattacks")
    model, x, y = (trades[0], trades[1][:16], trades[2][:16])
    theirs = torchattacks.DeepFool(model, steps=20, overshoot=0.02)(x, y)
    asked = problem(model, x, y, ANYWHERE["l2"], size=16)
    ours = deepfool(asked, steps=20, overshoot_at="each_step")
    crossed, they = classes(model, ours) != y, classes(model, theirs) != y
    assert (crossed >= they).all()
    both = crossed & they
    assert both.sum() >= 4
    ratio = (asked.distance(ours) / asked.distance(theirs))[both]
    assert abs(ratio.median() - 1) < 1e-3
