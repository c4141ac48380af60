"""Square Attack against the released code under the same random numbers, and against what the paper says of it."""

import math

import numpy as np
import pytest
import torch
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem, seeded
from torch import nn

from robeval.attacks.square import square
from robeval.ops import geometry
from robeval.values.threat import ThreatModel

released = pytest.importorskip("pyautoattack.square")

NORMS = ("linf", "l2", "l1")
every_norm = pytest.mark.parametrize("norm", NORMS)


class Seen:
    """Every point and its margin, by image, in the order of asking."""

    def __init__(self, n):
        self.points, self.margins = [[] for _ in range(n)], [[] for _ in range(n)]

    def __call__(self, asked, rows, points, logits, values):
        for row, point, answer in zip(rows.tolist(), points, logits):
            true = int(asked.y[row])
            others = torch.cat([answer[:true], answer[true + 1 :]])
            self.points[row].append(point.clone())
            self.margins[row].append(float(others.max() - answer[true]))


def robust_images(model, x, n):
    """The first images, with the model's own classes as labels."""
    return x[:n], classes(model, x[:n])


# ── the released code, with random numbers from outside ──


class Tape:
    """Uniform numbers for both: by image for ours, by call for theirs, which gives all images one place."""

    def __init__(self, norm, shape, n, queries, seed=0):
        draw = seeded(seed)
        channels, height, width = shape
        self.norm, self.channels, self.used = norm, channels, 0
        if norm == "linf":
            self.start = torch.rand(n, channels, 1, width, generator=draw)
            shared = torch.rand(1, queries, 2 + channels, generator=draw)
            self.moves = shared.repeat(n, 1, 1)
        else:
            side = max(height // 5, 1)
            tiles = (height // side, width // side)
            turns = torch.rand(1, *tiles, 1, generator=draw).repeat(n, 1, 1, 1)
            self.start = torch.cat([turns, torch.rand(n, *tiles, channels, generator=draw)], dim=3)
            places = torch.rand(1, queries, 5, generator=draw).repeat(n, 1, 1)
            self.moves = torch.cat([places, torch.rand(n, queries, channels, generator=draw)], dim=2)

    def uniform(self, shape):
        """What robeval asks for: the start, then blocks of queries."""
        if list(shape) == list(self.start.shape[1:]):
            return self.start
        block = self.moves[:, self.used : self.used + shape[0]]
        self.used += shape[0]
        missing = shape[0] - block.shape[1]
        return torch.cat([block, torch.zeros(len(block), missing, shape[1])], dim=1)

    def calls(self, alive):
        """What the released code asks for, call by call; `alive` is the list of rows it still works on."""
        if self.norm == "linf":
            yield self.start
            for move in self.moves[0]:
                yield from (*move[:2], move[2:, None, None])
        else:
            for tile in self.start.flatten(1, 2).unbind(1):
                yield tile[0, 0]
                yield tile[:, 1:, None, None]
            for move in self.moves.unbind(1):
                yield from move[0, :5]
                yield move[alive(), 5:, None, None]


class Shim:
    """torch, but for `rand`."""

    def __init__(self, rand):
        self.rand = rand

    def __getattr__(self, name):
        return getattr(torch, name)


def their_run(monkeypatch, model, x, y, norm, eps, queries, tape):
    """Points of each query by image, final points and queries of the released code."""
    alive = torch.arange(len(x))
    seen = [[] for _ in x]

    class Tracked(released.SquareAttack):
        def margin_and_loss(self, points, labels):
            nonlocal alive
            margin, loss = super().margin_and_loss(points, labels)
            for row, point in zip(alive.tolist(), points):
                seen[row].append(point.clone())
            alive = alive[margin > 0]
            return margin, loss

    calls = tape.calls(lambda: alive)

    def rand(shape):
        numbers = next(calls)
        assert numbers.numel() == math.prod(shape)
        return numbers.reshape(shape)

    monkeypatch.setattr(released, "torch", Shim(rand))
    name = {"linf": "Linf", "l2": "L2", "l1": "L1"}[norm]
    attack = Tracked(model, norm=name, n_queries=queries, eps=eps, p_init=0.8, resc_schedule=False, device="cpu")
    attack.init_hyperparam(x)
    counts, points = attack.attack_single_run(x, y)
    monkeypatch.undo()
    return seen, points, counts


def far_apart(mine, theirs):
    """The largest difference of a pixel at any query."""
    return float((torch.stack(mine) - torch.stack(theirs)).abs().max()) if len(mine) == len(theirs) else math.inf


def assert_same_run(monkeypatch, model, x, y, norm, eps, queries, strays):
    """The same proposals, kept or not, of every image, until each is broken or the queries are used up.

    In l2 and l1 a window that holds nothing but rounding errors is scaled up to a unit by both, and a proposal may
    change the loss by less than its rounding: runs in float32 part now and then (`strays` of them at most). A wrong
    formula would part all of them in the first few queries.
    """
    tape = Tape(norm, x.shape[1:], len(x), queries)
    theirs, their_points, their_counts = their_run(monkeypatch, model, x, y, norm, eps, queries, tape)
    ours = Seen(len(x))
    asked = problem(model, x, y, ThreatModel(norm, eps), watch=ours)
    asked.noise = tape
    points = square(asked, queries=queries, parity="autoattack")
    together = torch.tensor([far_apart(*pair) < 2e-4 for pair in zip(ours.points, theirs)])
    assert (~together).sum() <= strays
    assert (points - their_points).abs().flatten(1).amax(dim=1)[together].max() < 2e-4
    assert torch.equal(asked.forwards[together], their_counts.long()[together])
    return asked.forwards


@every_norm
@pytest.mark.parametrize("shape", [(1, 11, 11), (3, 10, 10)], ids=str)
def test_the_released_code_takes_the_same_steps(monkeypatch, norm, shape):
    model = ConvNet(shape)
    x, y = robust_images(model, images(20, shape), 20)
    eps = {"linf": 0.04, "l2": 0.4, "l1": 2.5}[norm]
    used = assert_same_run(monkeypatch, model, x, y, norm, eps, 200, strays={"linf": 0, "l2": 4, "l1": 8}[norm])
    assert used.max() == 201
    assert 2 < (used < 201).sum() < 20, "some are broken, some are not"


@every_norm
def test_the_released_code_takes_the_same_steps_on_mnist(monkeypatch, trades, norm):
    model, x, y = trades
    eps = {"linf": 0.35, "l2": 2.5, "l1": 15.0}[norm]
    used = assert_same_run(monkeypatch, model, x[:16], y[:16], norm, eps, 60, strays=1)
    assert used.max() == 61


@pytest.mark.parametrize("released", ["advertorch_lenet5_adv", "oval_base"], indirect=True)
def test_the_released_code_takes_the_same_steps_on_networks_that_others_released(monkeypatch, released):
    model, x, y, threat = released
    used = assert_same_run(monkeypatch, model, x, y, "linf", threat.eps, 60, strays=0)
    assert (used < 61).any()
    assert used.max() == 61


# ── without it ──


@every_norm
def test_the_loss_never_falls_and_the_search_stops_at_the_first_misclassified_point(norm):
    model = ConvNet(COLOUR)
    x, y = robust_images(model, images(24, COLOUR), 24)
    threat = ThreatModel(norm, {"linf": 0.03, "l2": 0.25, "l1": 1.5}[norm])
    seen = Seen(24)
    asked = problem(model, x, y, threat, watch=seen)
    adv = square(asked, queries=80)
    broken = classes(model, adv) != y
    assert 4 < broken.sum() < 22
    for row in range(24):
        margins = seen.margins[row]
        assert asked.forwards[row] == len(margins)
        assert broken[row] or len(margins) == 80, "what stands has had every query"
        best = int(np.argmax(margins))
        assert torch.equal(adv[row], seen.points[row][best]), "the point of the highest margin is the answer"
        assert (max(margins) > 0) == bool(broken[row])
        assert all(margin <= 0 for margin in margins[:-1]), "no query after success"
    assert geometry.inside(adv, x, threat).all()


@every_norm
def test_as_many_queries_as_asked_for(norm):
    x = images(5)
    for queries in (1, 2, 300):
        asked = problem(Constant(), x, torch.zeros(5, dtype=torch.int64), ThreatModel(norm, 0.1))
        square(asked, queries=queries)
        assert set(asked.forwards.tolist()) == {queries}
        assert set(asked.backwards.tolist()) == {0}


class Falling(nn.Module):
    """A little less certain each time it is asked, so that every proposal is kept."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def forward(self, x):
        self.asked += 1
        margin = torch.full((len(x),), self.asked * 1e-4 - 10)
        return torch.stack([torch.zeros_like(margin), margin], dim=1)


def changes(norm, shape, queries, rescale=False, n=16, eps=1e-3):
    """Which pixels each query changes, bool (n, queries - 1, h, w), where every proposal is kept."""
    x = torch.full((n, *shape), 0.5)
    seen = Seen(n)
    asked = problem(Falling(), x, torch.zeros(n, dtype=torch.int64), ThreatModel(norm, eps), watch=seen)
    square(asked, queries=queries, rescale=rescale)
    walks = torch.stack([torch.stack(each) for each in seen.points])
    return (walks[:, 1:] != walks[:, :-1]).any(dim=2)


@pytest.mark.parametrize(("rescale", "queries"), [(False, 520), (True, 260)])
def test_sides_follow_the_schedule(rescale, queries):
    """p = 0.8, halved after iterations 10, 50, 200, 500, ... of 10,000; the side is that of a square of p * h * w."""
    changed = changes("linf", (3, 16, 16), queries, rescale)
    extent = torch.maximum(changed.any(dim=3).sum(dim=2), changed.any(dim=2).sum(dim=2)).amax(dim=0)
    for iteration in range(queries - 1):
        scaled = iteration * 10_000 // queries if rescale else iteration
        halvings = sum(scaled > mark for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
        assert extent[iteration] == max(round(math.sqrt(0.8 / 2**halvings) * 16), 1), iteration


def test_squares_are_of_each_image_alone_and_reach_every_place_alike():
    """With side 1 (after many halvings) each pixel is as likely as any other, the last row and column included."""
    changed = changes("linf", (1, 5, 5), 500, rescale=True, n=64)[:, 200:]
    # A square that sets what is set already changes nothing, in half of all cases.
    single = changed.flatten(2).sum(dim=2) == 1
    assert 0.4 < single.float().mean() < 0.6
    counts = changed[single].flatten(1).sum(dim=0).double()
    expected = counts.sum() / 25
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 52, "24 degrees of freedom: above 51.2 in one case of a thousand"
    assert not (changed[0] == changed[1]).all()


def test_the_released_code_never_draws_the_last_place():
    """Parity: with positions below h - side the last row and column stay as they are."""
    x, y = torch.full((16, 1, 5, 5), 0.5), torch.zeros(16, dtype=torch.int64)
    for parity, reached in (("none", True), ("autoattack", False)):
        seen = Seen(16)
        square(problem(Falling(), x, y, ThreatModel("linf", 0.1), watch=seen), queries=300, p_init=0.01, parity=parity)
        walks = torch.stack([torch.stack(each) for each in seen.points])
        changed = (walks[:, 1:] != walks[:, :-1]).any(dim=2)
        assert bool(changed[:, :, -1].any()) == reached
        assert bool(changed[:, :, :, -1].any()) == reached
        assert changed[:, :, :-1, :-1].any(dim=1).all()


def test_linf_proposals_are_corners_of_the_ball():
    """Every pixel of every proposal is x - eps or x + eps, cut at the box."""
    x = images(12, COLOUR)
    model = ConvNet(COLOUR)
    seen = Seen(12)
    threat = ThreatModel("linf", 0.05)
    square(problem(model, x, classes(model, x), threat, watch=seen), queries=40)
    for row in range(12):
        for point in seen.points[row]:
            low, high = (x[row] - 0.05).clamp(0, 1), (x[row] + 0.05).clamp(0, 1)
            assert torch.minimum((point - low).abs(), (point - high).abs()).max() < 1e-6


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_l2_and_l1_proposals_use_the_whole_radius(norm):
    """Far from the borders of the box, every proposal is at distance eps: mass is moved, never lost."""
    x = images(8, COLOUR, 0.4, 0.6)
    model = ConvNet(COLOUR)
    seen = Seen(8)
    threat = ThreatModel(norm, 0.1)
    square(problem(model, x, classes(model, x), threat, watch=seen), queries=120)
    for row in range(8):
        points = torch.stack(seen.points[row])
        length = geometry.distance(points, x[row].expand_as(points), norm)
        assert (length <= 0.1).all()
        assert (length > 0.0999).all()


@every_norm
def test_a_linear_model_is_broken_where_eps_suffices_and_nowhere_else(norm):
    model = Linear(COLOUR, 2, scale=0.5)
    x = images(24, COLOUR, 0.45, 0.55)
    y = classes(model, x)
    margin = model.margin(x, y, norm)
    enough = {"linf": 2.0, "l2": 3.0, "l1": 3.0}[norm]
    for eps in (float(margin.median()), float(margin.max())):
        adv = square(problem(model, x, y, ThreatModel(norm, eps)), queries=500)
        broken = classes(model, adv) != y
        assert not broken[margin > eps * 1.0001].any()
        assert broken[margin * enough < eps].all()
        assert (margin * enough < eps).sum() > 2


class Quantised(nn.Module):
    """Another model's logits in steps, whose gradient is zero or absent everywhere."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return (4 * self.model(x)).round().detach()


@every_norm
def test_no_gradient_is_needed(norm):
    model = Quantised(ConvNet(COLOUR))
    x, y = robust_images(model, images(24, COLOUR), 24)
    adv = square(problem(model, x, y, ThreatModel(norm, {"linf": 0.2, "l2": 2.0, "l1": 12.0}[norm])), queries=100)
    assert (classes(model, adv) != y).float().mean() > 0.8


def test_about_as_many_images_are_broken_as_by_the_released_code(trades):
    """TRADES on MNIST, where the released code's squares are shared by the batch and ours are not."""
    model, x, y = trades
    eps = 0.38
    theirs = released.SquareAttack(model, norm="Linf", n_queries=80, eps=eps, resc_schedule=False, device="cpu")
    broken = {
        "theirs": classes(model, theirs.perturb(x, y)) != y,
        "ours": classes(model, square(problem(model, x, y, ThreatModel("linf", eps)), queries=81)) != y,
    }
    counts = {who: int(each.sum()) for who, each in broken.items()}
    assert 10 < counts["theirs"] < 54
    assert abs(counts["ours"] - counts["theirs"]) <= 8, counts
