"""What an attack may ask, what is counted, and what retired rows cost."""

import pytest
import torch
from doubles import COLOUR, Constant, ConvNet, NotANumber, Watched, classes, images, marked, problem
from torch import nn

from robeval.errors import UserError
from robeval.ops import geometry
from robeval.ops.losses import cross_entropy, kl_from, margin
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.values.threat import ThreatModel

MODEL = ConvNet(COLOUR)
X = images(64, COLOUR)
Y = torch.arange(64) % 10
LINF, L2 = ThreatModel("linf", 0.1), ThreatModel("l2", 0.5)


def part(rows, threat, size=32):
    """The problem of some of the rows, as an engine that drops samples makes it."""
    rows = torch.as_tensor(list(rows))
    return Problem(Microbatches(MODEL, size), X[rows], Y[rows], threat, Noise(3, "test", 0, rows.numpy()))


def walk(given):
    """A few steps that use all of a problem's methods."""
    adv = given.random_point()
    for _ in given.steps(4):
        value, slope = given.value_and_gradient(adv, cross_entropy)
        slope = slope / given.norms(slope, "l1").clamp_min(1e-30).float()
        adv = given.project(adv + 0.03 * given.steepest(slope) * (1 + value[:, None, None, None]))
    return adv, given.logits(adv)


@pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
@pytest.mark.parametrize("rows", [[11], [63], range(7), range(20, 27), range(40), range(63, -1, -1)])
def test_rows_are_bit_equal_in_any_company(threat, rows):
    rows = list(rows)
    for mine, whole in zip(walk(part(rows, threat)), walk(part(range(64), threat))):
        assert torch.equal(mine, whole[rows])


@pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
def test_retired_neighbours_change_no_bit(threat):
    whole, thinned = part(range(64), threat), part(range(64), threat)
    thinned.retire(torch.arange(0, 64, 3))
    adv = thinned.random_point()
    assert torch.equal(adv, whole.random_point())
    kept = torch.arange(64) % 3 != 0
    assert torch.equal(thinned.gradient(adv, cross_entropy)[kept], whole.gradient(adv, cross_entropy)[kept])
    assert torch.equal(thinned.logits(adv)[kept], whole.logits(adv)[kept])


def test_retired_rows_are_zero_cost_nothing_and_stay_retired():
    model = Watched(MODEL)
    given = problem(model, X, Y, LINF, size=8)
    given.retire(torch.arange(60))
    model.sizes.clear()
    value, slope = given.value_and_gradient(X, cross_entropy)
    logits = given.logits(X)
    assert model.sizes == [8, 8], "64 rows would be 8 microbatches each time"
    for answer in (value, slope, logits):
        assert len(answer) == 64
        assert (answer[:60] == 0).all()
        assert (answer[60:] != 0).flatten(1).any(dim=1).all() if answer.dim() > 1 else (answer[60:] != 0).all()
    given.retire(torch.tensor([3, 61]))
    assert (given.logits(X)[[3, 61]] == 0).all()
    assert given.forwards.tolist() == 60 * [0] + [3, 2, 3, 3]


def test_steps_end_early_once_every_row_is_retired():
    given = problem(MODEL, X, Y, LINF)
    walked = []
    for step in given.steps(10):
        walked.append(step)
        if step == 2:
            given.retire(torch.arange(32))
        if step == 4:
            given.retire(torch.arange(32, 64))
    assert walked == [0, 1, 2, 3, 4]
    assert list(given.steps(10)) == []
    assert list(problem(MODEL, X[:0], Y[:0], LINF).steps(10)) == []


def test_progress_is_told_in_each_step():
    told = []
    given = Problem(Microbatches(MODEL, 8), X, Y, LINF, Noise(0, "t", 0, range(64)), on_step=told.append)
    assert list(given.steps(4)) == [0, 1, 2, 3]
    assert told == [0, 0.25, 0.5, 0.75]


def test_passes_are_counted_per_row():
    given = problem(MODEL, X, Y, LINF)
    given.logits(X)
    given.gradient(X, cross_entropy)
    given.retire(torch.arange(10))
    given.value_and_gradient(X, margin)
    assert given.forwards.tolist() == 10 * [2] + 54 * [3]
    assert given.backwards.tolist() == 10 * [1] + 54 * [2]


def test_geometry_costs_no_pass():
    model = Watched(MODEL)
    given = problem(model, X, Y, L2)
    given.project(given.random_point(clip=True) + given.steepest(X))
    given.norms(X, "l1")
    assert model.sizes == []
    assert given.forwards.sum() == 0


@pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
def test_geometry_is_that_of_the_threat_model(threat):
    given = problem(MODEL, X, Y, threat)
    far = X + 2 * images(64, COLOUR, -1, 1, seed=5)
    assert torch.equal(given.project(far), geometry.project(far, X, threat, geometry.limits(X, threat)))
    assert torch.equal(given.steepest(far), geometry.steepest(far, threat.norm))
    assert geometry.inside(given.random_point(clip=True), X, threat).all()
    assert not geometry.inside(given.random_point(), X, threat).all(), "the pixel box is not applied"
    for norm in ("linf", "l2", "l1"):
        assert given.norms(far, norm).shape == (64, 1, 1, 1)
        assert torch.allclose(given.norms(far, norm).flatten(), geometry.norms(far, norm))


def test_sums_over_rows_are_taken_in_one_fixed_number_of_rows(monkeypatch):
    """How a sum is split up, and so its last bit, may depend on how many rows there are."""
    seen, plain = [], geometry.norms

    def norms(delta, norm):
        seen.append(len(delta))
        return plain(delta, norm)

    monkeypatch.setattr(geometry, "norms", norms)
    given = problem(MODEL, X[:20], Y[:20], L2, size=8)
    given.project(given.x + given.steepest(given.x))
    given.norms(given.x, "l1")
    assert seen == 3 * [geometry.ROWS]


def test_each_random_point_is_another():
    given = problem(MODEL, X, Y, LINF)
    assert not (given.random_point() == given.random_point()).any(dim=0).all()


def test_the_target_is_the_label_unless_given():
    given = problem(MODEL, X, Y, LINF)
    assert torch.equal(given.gradient(X, cross_entropy), given.gradient(X, cross_entropy, Y))
    assert not torch.equal(given.gradient(X, cross_entropy), given.gradient(X, cross_entropy, (Y + 1) % 10))
    value, _ = given.value_and_gradient(X, kl_from, given.logits(X))
    assert torch.allclose(value, torch.zeros(64), atol=1e-6)


def test_the_target_goes_with_its_row_when_others_are_retired():
    given, target = problem(MODEL, X, Y, LINF), (Y + 1) % 10
    whole = given.gradient(X, cross_entropy, target)
    given.retire(torch.arange(0, 64, 2))
    assert torch.equal(given.gradient(X, cross_entropy, target)[1::2], whole[1::2])


def test_nan_gradients_are_zero_and_flagged_for_their_rows_only():
    x, light = marked(20, COLOUR)
    model = NotANumber(MODEL)
    y = classes(MODEL, x)
    given = problem(model, x, y, LINF)
    given.gradient(x, cross_entropy)
    assert not given.nonfinite.any(), "the clean images are fine"
    slope = given.gradient(x + 0.01, cross_entropy)
    assert torch.equal(given.nonfinite, light)
    assert (slope[light] == 0).all()
    assert torch.equal(slope[~light], problem(MODEL, x, y, LINF).gradient(x + 0.01, cross_entropy)[~light])


def test_nan_logits_are_flagged():
    x, light = marked(20, COLOUR)
    given = problem(NotANumber(MODEL), x, classes(MODEL, x), LINF)
    logits = given.logits(x + 0.01)
    assert torch.equal(given.nonfinite, light)
    assert torch.equal(logits.isnan().any(dim=1), light)


def test_infinite_gradients_of_finite_logits_are_zero_and_flagged():
    class Root(nn.Module):
        """The square root at 0: finite, with an infinite slope."""

        def forward(self, x):
            return torch.stack([x.flatten(1).sum(dim=1).sqrt(), torch.zeros(len(x))], dim=1)

    x = torch.stack([torch.zeros(COLOUR), torch.full(COLOUR, 0.5)])
    given = problem(Root(), x, torch.tensor([1, 1]), LINF)
    slope = given.gradient(x, margin)
    assert given.nonfinite.tolist() == [True, False]
    assert slope.isfinite().all()
    assert (slope[1] != 0).all()


def test_parameters_and_images_are_left_alone():
    model, x = ConvNet(COLOUR), X.clone()
    walk(problem(model, x, Y, L2))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert torch.equal(x, X)
    assert not x.requires_grad


def test_a_model_without_gradients_is_refused():
    class Opaque(nn.Module):
        def forward(self, x):
            return MODEL(x).detach()

    given = problem(Opaque(), X, Y, LINF)
    with pytest.raises(UserError, match="its logits have no gradient to the image"):
        given.gradient(X, cross_entropy)
    assert given.logits(X).shape == (64, 10)


def test_a_constant_model_is_no_error():
    assert (problem(Constant(10), X, Y, LINF).gradient(X, cross_entropy) == 0).all()


def test_the_watch_sees_active_rows_and_may_retire_them():
    seen = []

    def watch(given, rows, points, logits, values):
        seen.append((rows.tolist(), None if values is None else values.shape))
        assert torch.equal(points, X[rows])
        assert len(logits) == len(rows)
        given.retire(rows[:1])

    given = problem(MODEL, X[:4], Y[:4], LINF, watch=watch)
    given.gradient(X[:4], cross_entropy)
    given.logits(X[:4])
    assert seen == [([0, 1, 2, 3], (4,)), ([1, 2, 3], None)]
    assert given.forwards.tolist() == [1, 2, 2, 2]


# ── several slopes at once, and averages ──


def test_the_jacobian_is_each_logits_own_slope():
    asked = torch.stack([Y, (Y + 3) % 10], dim=1)
    given = problem(MODEL, X, Y, LINF, size=24)
    logits, slopes = given.jacobian(X, asked)
    assert slopes.shape == (64, 2, *COLOUR)
    assert torch.equal(logits, given.logits(X))
    for place in (0, 1):
        one = given.gradient(X, lambda z, t: z.gather(1, t[:, None]).squeeze(1), asked[:, place])
        assert torch.allclose(slopes[:, place], one, atol=1e-6)
    assert given.forwards.tolist() == 64 * [4]
    assert given.backwards.tolist() == 64 * [4]


def test_what_is_kept_of_a_jacobian_is_chosen_a_microbatch_at_a_time():
    """Of a thousand classes the slopes of all images at once would be tens of gigabytes."""
    asked, seen = torch.stack([Y, (Y + 3) % 10], dim=1), []

    def second(rows, logits, slopes):
        seen.extend(rows.tolist())
        assert len(rows) == len(logits) == len(slopes) <= 24
        return (slopes[:, 1],)

    given = problem(MODEL, X, Y, LINF, size=24)
    given.retire(torch.tensor([0, 63]))
    (kept,) = given.jacobian(X, asked, second)
    assert seen == list(range(1, 63))
    assert torch.equal(kept, given.jacobian(X, asked)[1][:, 1])
    assert (kept[0] == 0).all()
    assert given.backwards.tolist() == [0, *62 * [4], 0]


def test_what_is_not_finite_in_a_jacobian_is_zero_and_noted():
    x, light = marked(8, COLOUR)
    given = problem(NotANumber(MODEL), x, torch.zeros(8, dtype=torch.int64), LINF)
    _, slopes = given.jacobian(x + 0.01, torch.zeros(8, 3, dtype=torch.int64))
    assert torch.equal(given.nonfinite, light)
    assert (slopes[light] == 0).all()
    assert (slopes[~light] != 0).any()


class Noisy(nn.Module):
    """Another model's logits, with normal noise from the global generator on its images."""

    def forward(self, x):
        return MODEL(x + 0.1 * torch.randn_like(x))


def test_expectation_over_transformation_is_a_mean_of_passes():
    averaged = Problem(Microbatches(Noisy(), 64), X, Y, LINF, Noise(0, "t", 0, range(64)), eot=3)
    torch.manual_seed(4)
    value, slope = averaged.value_and_gradient(X, cross_entropy)
    assert averaged.forwards.tolist() == averaged.backwards.tolist() == 64 * [3]
    single = problem(Noisy(), X, Y, LINF, size=64)
    torch.manual_seed(4)
    passes = [single.value_and_gradient(X, cross_entropy) for _ in range(3)]
    assert torch.allclose(value, sum(each for each, _ in passes) / 3)
    assert torch.allclose(slope, sum(each for _, each in passes) / 3, atol=1e-7)
    assert not torch.allclose(passes[0][1], passes[1][1])


def test_only_some_rows_for_a_while():
    given, some = problem(MODEL, X, Y, LINF, size=8), torch.tensor([3, 40])
    given.retire(torch.tensor([40]))
    with given.only(some):
        logits = given.logits(X)
        given.retire(torch.tensor([5]))
    assert (logits.flatten(1) != 0).any(dim=1).nonzero().flatten().tolist() == [3]
    assert given.forwards.nonzero().flatten().tolist() == [3]
    assert torch.equal(logits[3], problem(MODEL, X, Y, LINF, size=8).logits(X)[3])
    assert sorted(set(range(64)) - set(given.active.tolist())) == [5, 40], "those retired meanwhile stay so"


def test_the_watch_is_shown_what_others_have_asked_about_active_rows():
    model, x = ConvNet(COLOUR), images(4, COLOUR)
    seen = []

    def watch(asked, rows, points, logits, values):
        seen.append((rows.tolist(), points, logits, values))

    asked = problem(model, x, classes(model, x), ThreatModel("linf", 0.1), watch=watch)
    asked.retire(torch.tensor([1]))
    rows, points, logits = torch.tensor([3, 1, 0]), x[[3, 1, 0]] + 1, torch.randn(3, 10)
    asked.show(rows, points, logits)
    asked.show(rows[1:2], points[1:2], logits[1:2])
    ((shown, where, what, values),) = seen
    assert shown == [3, 0]
    assert torch.equal(where, points[[0, 2]])
    assert torch.equal(what, logits[[0, 2]])
    assert values is None
    assert not asked.forwards.any()


@pytest.mark.parametrize("eot", [3, 20])
@pytest.mark.parametrize("rows", [[11], range(7), range(20, 27)])
def test_averaged_rows_are_bit_equal_in_any_company(rows, eot):
    def asked(chosen):
        chosen = torch.as_tensor(list(chosen))
        noise = Noise(0, "t", 0, chosen.numpy())
        given = Problem(Microbatches(MODEL, 32), X[chosen], Y[chosen], LINF, noise, eot=eot)
        return given.ask(X[chosen], cross_entropy)

    for mine, whole in zip(asked(rows), asked(range(64))):
        assert torch.equal(mine, whole[list(rows)])
