"""APGD: closed forms, and every point of its way against that of the authors' released code."""

import pytest
import torch
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem
from official import Recorder, apart, ours, theirs
from torch import nn

from robeval.attacks import registry
from robeval.attacks.apgd import apgd
from robeval.errors import UserError
from robeval.ops import geometry
from robeval.ops.auto_pgd import checkpoints
from robeval.ops.losses import LOSSES
from robeval.values.threat import ThreatModel

EXACT = ThreatModel("linf", 16 / 256)
BALLS = [ThreatModel("linf", 0.05), ThreatModel("l2", 0.4), ThreatModel("l1", 2.0)]
FIT = registry.catalog()["apgd"].fit

every_ball = pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
ce_and_dlr = pytest.mark.parametrize("loss", ["ce", "dlr"])


def pair(model, x, y, threat, loss, steps=100, rho=0.75, parity="autoattack"):
    """Our answer and way, and theirs, (t, n, c, h, w)."""
    mine, my_way = ours(apgd, model, x, y, threat, loss=loss, steps=steps, rho=rho, parity=parity)
    other, other_way = theirs("APGDAttack", model, x, y, threat, loss=loss, n_iter=steps, rho=rho)
    return mine, torch.stack(my_way), other, torch.stack(other_way)


def furthest(way, other):
    """The largest difference over all steps for each image, (n,)."""
    return torch.stack([apart(*points) for points in zip(way, other)]).amax(dim=0)


# ── closed forms ──


def test_checkpoints_are_those_of_the_paper():
    found = checkpoints(100)
    assert list(found) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert list(found.values()) == [22, 19, 16, 13, 10, 7, 6, 6]
    assert list(checkpoints(1)) == [1]
    assert list(checkpoints(10)) == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert all(sum(list(checkpoints(n).values())[:3]) == list(checkpoints(n))[2] for n in range(3, 300))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_breaks_a_linear_model_exactly_where_the_formula_says(norm):
    """Pixels far from the border of the box, radii just below and just above the distance of each boundary."""
    model, x, y, margin = linear(norm)
    for eps in margin[::8].tolist():
        for radius in (eps - 1e-5, eps + 1e-5):
            adv = apgd(problem(model, x, y, ThreatModel(norm, radius)))
            wrong, clear = classes(model, adv) != y, (margin - radius).abs() > 5e-6
            assert torch.equal(wrong[clear], (margin < radius)[clear])


def test_l1_breaks_a_linear_model_only_where_the_formula_says_and_nearly_everywhere_there():
    """The best l1 step changes one pixel, but the rule rounds two thirds of 2 up to 2, so it can end with two."""
    model, x, y, margin = linear("l1")
    for eps in margin[::8].tolist():
        wrong = classes(model, apgd(problem(model, x, y, ThreatModel("l1", eps)))) != y
        assert not wrong[margin > eps + 1e-5].any()
        assert wrong[margin < 0.85 * eps].all()
        assert wrong.sum() >= 0.8 * (margin < eps).sum() - 1


def linear(norm):
    """A linear model, images, labels, and how far each image is from the boundary: less than from the box."""
    model, x = Linear(COLOUR, 2, seed=7, scale=0.5), images(40, COLOUR, 0.45, 0.55)
    y = classes(model, x)
    margin = model.margin(x, y, norm)
    assert margin.max() < 0.45
    return model, x, y, margin


class Peak(nn.Module):
    """Two classes; the second one's logit is highest, but below the first's, where each pixel is 0.4371."""

    def forward(self, x):
        height = -(x - 0.4371).abs().flatten(1).sum(dim=1)
        return torch.stack([torch.zeros_like(height), height], dim=1)


def test_the_step_is_halved_until_it_no_longer_jumps_over_the_peak():
    """Steps of 2 eps would only go to and fro; the 8 checkpoints of 100 steps leave at most 2 eps / 2^7."""
    x, y = torch.full((3, 1, 1, 1), 0.4), torch.zeros(3, dtype=torch.int64)
    recorder = Recorder(Peak())
    adv = apgd(problem(recorder, x, y, ThreatModel("linf", 0.1), size=3), steps=100)
    leaps = torch.stack(recorder.points).diff(dim=0).abs().amax(dim=(2, 3, 4))
    assert (leaps[2:20].amax(dim=0) > 0.03).all()
    assert leaps[-3:].max() < 0.2 / 2**6
    assert (adv - 0.4371).abs().max() < 0.2 / 2**7


@pytest.mark.parametrize(
    ("loss", "after_low", "after_high"), [("ce", 0.4, 0.4), ("margin", 0.475, 0.425)], ids=["ce", "margin"]
)
def test_the_first_loss_counts_as_risen_where_it_is_positive(loss, after_low, after_high):
    """As in the authors' code. Of 9 steps the first is a checkpoint; it goes from one end of the ball to the other.

    Cross-entropy is positive, so no step size is halved, not even where the loss fell. This margin is negative, so
    each is: from the low start on at the better end, from the high start (where the loss fell) back at it.
    """
    x, y = torch.full((32, 1, 1, 1), 0.4), torch.zeros(32, dtype=torch.int64)
    recorder = Recorder(Peak())
    apgd(problem(recorder, x, y, ThreatModel("linf", 0.1)), steps=9, loss=loss)
    start, first, second = (points.flatten() for points in recorder.points[:3])
    low = start < 0.4
    assert 8 < low.sum() < 24
    assert torch.allclose(first, 0.8 - start)
    assert torch.allclose(second[low], torch.tensor(after_low))
    assert torch.allclose(second[~low], torch.tensor(after_high))


def test_without_a_gradient_it_stays_at_its_start():
    x, y = images(4), torch.zeros(4, dtype=torch.int64)
    for threat in BALLS[:2]:
        recorder = Recorder(Constant())
        adv = apgd(problem(recorder, x, y, threat, size=4), steps=30)
        assert torch.equal(adv, recorder.points[0])
        assert all(torch.equal(points, recorder.points[0]) for points in recorder.points)


@every_ball
def test_starts_are_on_the_sphere_or_the_box(threat):
    x, y = images(16, COLOUR, 0.45, 0.55), torch.zeros(16, dtype=torch.int64)
    recorder = Recorder(Constant())
    apgd(problem(recorder, x, y, threat, size=16), steps=3)
    first = geometry.distance(recorder.points[0], x, threat.norm)
    assert torch.allclose(first, torch.full_like(first, 3 * threat.eps if threat.norm == "l1" else threat.eps))


@every_ball
@ce_and_dlr
def test_the_answer_is_the_last_misclassified_point_or_that_of_highest_loss(threat, loss):
    model, x = ConvNet(COLOUR), images(32, COLOUR)
    y = classes(model, x)
    recorder = Recorder(model)
    adv = apgd(problem(recorder, x, y, threat), steps=30, loss=loss)
    points = torch.stack(recorder.points)
    if threat.norm == "l1":
        points = points[-13:]  # 0.4 * 30 steps and the start of the ball of radius eps
    with torch.no_grad():
        logits = torch.stack([model(each) for each in points])  # (t, n, k)
    wrong = logits.argmax(dim=2) != y
    values = torch.stack([LOSSES[loss](each, y) for each in logits])
    assert 4 < wrong.any(dim=0).sum() < 32
    for row in range(32):
        place = wrong[:, row].nonzero().max() if wrong[:, row].any() else values[:, row].argmax()
        assert torch.equal(adv[row], points[place, row])


def test_l1_goes_through_balls_of_3_and_2_and_1_eps():
    model, x = ConvNet(COLOUR), images(16, COLOUR)
    recorder = Recorder(model)
    apgd(problem(recorder, x, classes(model, x), ThreatModel("l1", 1.0), size=16), steps=100)
    lengths = torch.stack([geometry.distance(points, x, "l1").amax() for points in recorder.points])
    assert len(lengths) == 103
    for part, radius in ((lengths[:31], 3), (lengths[31:62], 2), (lengths[62:], 1)):
        assert part.max() == pytest.approx(radius, abs=1e-3)
        assert part.max() <= radius


def test_l1_changes_few_pixels():
    model, x = ConvNet((3, 16, 16)), images(16, (3, 16, 16))
    y = classes(model, x)
    adv = apgd(problem(model, x, y, ThreatModel("l1", 6.0)))
    assert ((adv != x).flatten(1).sum(dim=1) < 60).all()
    assert (classes(model, adv) != y).sum() > 12


@every_ball
def test_costs_a_forward_and_a_backward_for_each_step_and_each_start(threat):
    model, x = ConvNet(COLOUR), images(8, COLOUR)
    asked = problem(model, x, classes(model, x), threat)
    apgd(asked, steps=10)
    starts = 3 if threat.norm == "l1" else 1
    assert set(asked.forwards.tolist()) == set(asked.backwards.tolist()) == {10 + starts}


# ── number of classes ──


@pytest.mark.parametrize(("classes_", "loss"), [(2, "margin"), (3, "dlr"), (10, "dlr")])
def test_auto_is_recorded_as_what_it_is(classes_, loss):
    params = {"steps": 5, "loss": "auto", "rho": 0.75}
    assert FIT(params, classes_) == params | {"loss": loss}
    model, x = ConvNet(COLOUR, classes_), images(16, COLOUR)
    y = classes(model, x)
    answers = [apgd(problem(model, x, y, EXACT), steps=5, loss=each) for each in ("auto", loss)]
    assert torch.equal(*answers)


def test_dlr_of_two_classes_is_refused_with_what_to_take_instead():
    with pytest.raises(UserError, match=r"loss 'dlr' needs 3 classes, but there are 2\n.*margin"):
        FIT({"loss": "dlr"}, 2)
    assert FIT({"loss": "ce"}, 2) == {"loss": "ce"}


# ── the authors' code ──


@ce_and_dlr
@pytest.mark.parametrize("kind", [nn.Tanh, nn.ReLU], ids=["tanh", "relu"])
@pytest.mark.parametrize(("steps", "rho"), [(100, 0.75), (37, 0.5), (9, 0.75)])
def test_linf_is_the_authors_code_bit_for_bit_where_nothing_is_rounded(kind, loss, steps, rho):
    model, x = ConvNet(COLOUR, kind=kind), (images(32, COLOUR) * 256).round() / 256
    y = classes(model, x)
    mine, way, other, other_way = pair(model, x, y, EXACT, loss, steps, rho)
    assert torch.equal(way, other_way)
    broken = classes(model, other) != y
    assert 16 < broken.sum() < 32 or steps < 100
    assert torch.equal(mine[broken], other[broken])
    assert torch.equal(other[~broken], x[~broken]), "it gives the images back where we give the best point"


@ce_and_dlr
@every_ball
@pytest.mark.parametrize("kind", [nn.Tanh, nn.ReLU], ids=["tanh", "relu"])
def test_every_point_is_that_of_the_authors_code_but_for_rounding(kind, threat, loss):
    """Where a gradient is near 0, the last bit can turn its sign: a few images go another way late in the run."""
    model, x = ConvNet(COLOUR, kind=kind), images(64, COLOUR)
    y = classes(model, x)
    mine, way, other, other_way = pair(model, x, y, threat, loss)
    gap = furthest(way, other_way)
    assert (furthest(way[:20], other_way[:20]) < 1e-3).sum() >= 60
    assert (gap < 1e-3).sum() >= 56
    broken = classes(model, other) != y
    assert 20 < broken.sum() < 64
    assert torch.equal(classes(model, mine) != y, broken)
    assert (apart(mine, other)[broken & (gap < 1e-3)] < 1e-3).all()


def test_l1_without_rounding_errors_in_its_supports_breaks_about_as_many():
    """As released, rounding errors count as changed pixels; without parity they do not, and so the ways part."""
    model, x = ConvNet(COLOUR), images(64, COLOUR)
    y = classes(model, x)
    for eps in (1.0, 2.0):
        mine, way, other, other_way = pair(model, x, y, ThreatModel("l1", eps), "ce", parity="none")
        assert (furthest(way, other_way) > 1e-3).sum() > 16
        broken = [int((classes(model, adv) != y).sum()) for adv in (mine, other)]
        assert abs(broken[0] - broken[1]) <= 2


@ce_and_dlr
def test_linf_on_the_trades_network_is_the_authors_code_bit_for_bit(trades_exact, loss):
    model, x, y = first(30, trades_exact)
    mine, way, other, other_way = pair(model, x, y, ThreatModel("linf", 84 / 256), loss, steps=50)
    assert (furthest(way, other_way) == 0).sum() >= 29
    broken = classes(model, other) != y
    assert 3 < broken.sum() < 30
    assert torch.equal(classes(model, mine) != y, broken)


@pytest.mark.parametrize(
    "threat", [ThreatModel("linf", 0.3), ThreatModel("l2", 1.5), ThreatModel("l1", 8.0)], ids=lambda threat: threat.norm
)
def test_the_trades_network_is_broken_by_the_same_points(trades, threat):
    """Gradients of exactly 0 between its rectifiers make the last bit matter more often than on small networks."""
    model, x, y = first(30, trades)
    mine, way, other, other_way = pair(model, x, y, threat, "ce", steps=30)
    gap = furthest(way, other_way)
    assert (furthest(way[:8], other_way[:8]) < 1e-3).sum() >= 28
    assert (gap < 1e-3).sum() >= 20
    mine_broken, broken = classes(model, mine) != y, classes(model, other) != y
    assert torch.equal(mine_broken[gap < 1e-3], broken[gap < 1e-3])
    assert (mine_broken != broken).sum() <= 1


def first(count, given):
    model, x, y = given
    return model, x[:count], y[:count]


def test_averages_over_passes_are_those_of_the_released_code():
    """Of a model that is not random, so that both see the same: every point is asked about as often, in turn."""
    model, x = ConvNet(COLOUR, kind=nn.Tanh), images(12, COLOUR)
    y = classes(model, x)
    mine, way = ours(apgd, model, x, y, BALLS[0], eot=3, steps=10)
    other, their_way = theirs("APGDAttack", model, x, y, BALLS[0], n_iter=10, eot_iter=3)
    assert len(way) == 3 * 11
    assert len(their_way) == len(way)
    assert furthest(way, their_way).max() < 1e-6
    assert torch.equal(classes(model, mine) == y, classes(model, other) == y)
