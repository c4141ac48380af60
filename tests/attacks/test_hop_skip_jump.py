"""HopSkipJump against distances and normals that are known, and against Foolbox at as many queries."""

import math

import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem
from torch import nn

from robeval.attacks.hop_skip_jump import estimated_normal, hop_skip_jump
from robeval.ops import geometry
from robeval.values.threat import ThreatModel

every_norm = pytest.mark.parametrize("norm", ["l2", "linf"])


def anywhere(norm):
    """No ball: only the distance counts."""
    return ThreatModel(norm, math.inf)


class Decision(nn.Module):
    """Another model's decision and nothing else: 1 for the class, 0 for all others, no gradient."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        logits = self.model(x).detach()
        return F.one_hot(logits.argmax(dim=1), logits.shape[1]).float()


@every_norm
@pytest.mark.parametrize("seed", [0, 1])
def test_near_the_exact_distance_of_a_linear_model_and_never_below(norm, seed):
    """2700 queries in 108 dimensions: within 1.1 of the exact distance in l2 and 1.25 in l-inf."""
    model = Linear(COLOUR, 2, seed, scale=0.5)
    x = images(16, COLOUR, 0.35, 0.65, seed)
    y = classes(model, x)
    asked = problem(Decision(model), x, y, anywhere(norm))
    adv = hop_skip_jump(asked, steps=10)
    assert (classes(model, adv) != y).all()
    ratio = asked.distance(adv) / model.margin(x, y, norm)
    assert (ratio >= 1 - 1e-4).all()
    assert (ratio <= (1.1 if norm == "l2" else 1.25)).all()
    assert asked.forwards.max() < 2700


@every_norm
def test_more_steps_come_nearer(norm):
    model = ConvNet(COLOUR)
    x = images(8, COLOUR)
    y = classes(model, x)
    medians = []
    for steps in (1, 3, 7):
        asked = problem(model, x, y, anywhere(norm))
        medians.append(float(asked.distance(hop_skip_jump(asked, steps=steps)).median()))
    assert medians[0] > 1.1 * medians[1] > 1.1 * 1.1 * medians[2] > 0


@every_norm
def test_more_samples_turn_the_estimate_towards_the_normal(norm):
    """Theorem 2 of the paper: on the boundary of a linear model the cosine with the normal goes to 1."""
    model = Linear(COLOUR, 2)
    x = images(16, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    normal = (model.weight[1 - y] - model.weight[y]).detach()
    logits = model(x).detach()
    ahead = logits.gather(1, y[:, None]) - logits.gather(1, 1 - y[:, None])
    boundary = x + (ahead / (normal**2).sum(dim=1, keepdim=True) * normal).view_as(x)
    cosines = []
    for samples in (10, 100, 1000):
        asked = problem(Decision(model), x, y, anywhere(norm))
        estimate = estimated_normal(asked, boundary, torch.full((16, 1, 1, 1), 0.01), samples)
        cosines.append(float(F.cosine_similarity(estimate.flatten(1), normal).mean()))
    assert cosines == sorted(cosines)
    # The sign of v . g is worth 2 / pi of its value: sqrt(a n / (a n + d)), a = 2 / pi.
    for samples, cosine in zip((10, 100, 1000), cosines):
        worth = 2 / math.pi * samples
        assert cosine == pytest.approx(math.sqrt(worth / (worth + 108)), abs=0.06)


def test_a_biased_vote_is_taken_off():
    """Off the boundary nearly all votes are equal; without a baseline their noise would hide the normal."""
    model = Linear(COLOUR, 2)
    x = images(32, COLOUR, 0.4, 0.6)
    y = classes(model, x)
    normal = (model.weight[1 - y] - model.weight[y]).detach()
    unit = normal / normal.norm(dim=1, keepdim=True)
    distance = model.margin(x, y, "l2").float()[:, None]
    for share in (0.0, 1.0):
        beyond = x + ((distance + share * 0.1 / math.sqrt(108)) * unit).view_as(x)
        asked = problem(Decision(model), x, y, anywhere("l2"))
        estimate = estimated_normal(asked, beyond, torch.full((32, 1, 1, 1), 0.1), 400)
        cosine = F.cosine_similarity(estimate.flatten(1), normal).mean()
        assert cosine > (0.8 if share == 0 else 0.7)


def test_all_votes_equal_leave_the_average_direction():
    x, y = torch.full((3, *COLOUR), 0.5), torch.tensor([0, 1, 0])
    asked = problem(Constant(2, answer=0), x, y, anywhere("l2"))
    estimate = estimated_normal(asked, x, torch.full((3, 1, 1, 1), 0.1), 5)
    assert (estimate.flatten(1).norm(dim=1) > 0).all()


@every_norm
def test_the_answer_lies_on_the_boundary(norm):
    """A thousandth nearer to the image, on the way of the search, it is classified correctly."""
    model = ConvNet(COLOUR)
    x = images(16, COLOUR)
    y = classes(model, x)
    asked = problem(model, x, y, anywhere(norm))
    adv = hop_skip_jump(asked, steps=2)
    assert (classes(model, adv) != y).all()
    distance = asked.distance(adv).float()[:, None, None, None]
    nearer = x + 0.998 * (adv - x) if norm == "l2" else x + (adv - x).clamp(-0.998 * distance, 0.998 * distance)
    assert (classes(model, nearer) == y).all()
    assert geometry.boxed(adv, asked.threat).all()


@every_norm
def test_only_the_decision_counts(norm):
    """Any other logits with the same largest entry give the same walk, bit for bit."""
    model = ConvNet(COLOUR)
    x = images(8, COLOUR)
    y = classes(model, x)
    one, other = (hop_skip_jump(problem(each, x, y, anywhere(norm)), steps=3) for each in (model, Decision(model)))
    assert torch.equal(one, other)


def test_how_many_queries():
    """Starts, the search, and for each step B_t = 20 sqrt(t) votes up to 40, ten lengths and the search."""
    model = ConvNet(COLOUR)
    x = images(4, COLOUR)
    y = classes(model, x)
    for norm, theta in (("l2", 108**-1.5), ("linf", 108**-2)):
        search = math.ceil(math.log2(1 / theta))
        asked = problem(model, x, y, anywhere(norm))
        hop_skip_jump(asked, steps=6, initial_samples=20, max_samples=40, tries=50)
        votes = sum(min(int(20 * math.sqrt(step)), 40) for step in range(1, 7))
        assert set(asked.forwards.tolist()) == {50 + search + votes + 6 * (10 + search)}
        assert set(asked.backwards.tolist()) == {0}


def test_an_image_without_a_start_is_given_up_alone():
    """Every image of noise is of the second class: an image of that class has no way to go."""

    class Busy(nn.Module):
        def forward(self, x):
            busy = (x.flatten(1).std(dim=1) > 0.001).float()
            return torch.stack([1 - busy, busy], dim=1)

    x = torch.stack([torch.full(COLOUR, 0.5), images(1, COLOUR)[0]])
    y = torch.tensor([0, 1])
    asked = problem(Busy(), x, y, anywhere("l2"))
    adv = hop_skip_jump(asked, steps=2, initial_samples=10, tries=5)
    assert torch.equal(adv[1], x[1])
    assert asked.forwards[1] == 5
    assert float(asked.distance(adv)[0]) == pytest.approx(0.001 * math.sqrt(107), rel=0.05), "a formula again"
    assert asked.forwards[0] > 30


def foolbox_distances(model, x, y, norm, steps):
    """Distances and queries of Foolbox, image by image: its l2 step is normalised over the whole batch."""
    foolbox = pytest.importorskip("foolbox")
    asked = 0

    class Counted(nn.Module):
        def forward(self, points):
            nonlocal asked
            asked += 1
            return model(points)

    wrapped = foolbox.PyTorchModel(Counted().eval(), bounds=(0, 1))
    attack = foolbox.attacks.HopSkipJumpAttack(steps=steps, constraint=norm)
    sizes = [1] * len(x) if norm == "l2" else [len(x)]
    found = [
        attack.run(wrapped, points, foolbox.criteria.Misclassification(labels))
        for points, labels in zip(x.split(sizes), y.split(sizes))
    ]
    return geometry.distance(torch.cat(found), x, norm), asked / len(sizes)


@pytest.mark.parametrize(("norm", "n"), [("l2", 3), ("linf", 10)])
def test_no_further_than_foolbox_on_mnist_at_as_many_queries(trades, norm, n):
    model, x, y = trades
    x, y = x[y != 8][:n], y[y != 8][:n]  # Foolbox starts from uniform noise, which this model takes for an 8
    theirs, queries = foolbox_distances(model, x, y, norm, steps=2)
    asked = problem(model, x, y, anywhere(norm), size=len(x))
    ours = asked.distance(hop_skip_jump(asked, steps=2, tries=2))
    assert asked.forwards.max() <= 1.1 * queries
    assert ours.median() <= 1.1 * theirs.median()


def test_starts_where_uniform_noise_has_one_class(trades):
    """The model takes all uniform noise for an 8; darker noise gives its 8s a start."""
    model, x, y = trades
    x, y = x[y == 8], y[y == 8]
    assert len(x)
    asked = problem(model, x, y, anywhere("linf"), size=len(x))
    adv = hop_skip_jump(asked, steps=1, initial_samples=10, tries=20)
    assert (classes(model, adv) != y).all()
