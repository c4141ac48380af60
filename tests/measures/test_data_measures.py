"""Measures of data sets against measuring every pair of images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from robeval.datasets import registry as datasets
from robeval.datasets.registry import Samples, content_digest
from robeval.errors import UserError
from robeval.measures import linear, registry
from robeval.measures.nearest import nearest
from robeval.measures.separation import separation


def made(n, seed, levels=6, classes=3, pixels=(1, 3, 3)):
    draw = np.random.default_rng(seed)
    x = (draw.integers(levels, size=(n, *pixels)) * (255 // (levels - 1))).astype(np.uint8)
    y = np.arange(n) % classes
    return Samples("made", str(seed), x, y, classes, content_digest(x, y))


def apart(samples, reference):
    """All l-inf distances in [0, 1], (n, m)."""
    x, other = (each.x.reshape(len(each), -1).astype(np.float64) / 255 for each in (samples, reference))
    return np.abs(x[:, None] - other[None]).max(axis=2)


# ── separation ──


def test_separation_of_bytes(found):
    samples, reference = made(40, 1), made(300, 2)
    columns = separation(samples, reference)(range(10, 40))
    distances = np.where(samples.y[10:, None] == reference.y, np.inf, apart(samples, reference)[10:])
    assert columns["distance"] == pytest.approx(distances.min(axis=1), abs=1e-15)
    assert distances[np.arange(30), columns["nearest"]] == pytest.approx(columns["distance"], abs=1e-15)
    of = found("separation", columns, drop=2)
    assert of["separation", ""].value == columns["distance"].min()
    assert of["separation", "without the 2 smallest"].value == np.sort(columns["distance"])[2]
    assert sum(each.value for (metric, _), each in of.items() if metric == "images") == 30


def test_separation_of_floats():
    reference = datasets.load("digits", "train")
    samples = datasets.load("digits", "test")
    columns = separation(samples, reference)(range(25))
    x, other = samples.x[:25].reshape(25, -1), reference.x.reshape(len(reference), -1)
    distances = np.abs(x[:, None].astype(np.float64) - other[None]).max(axis=2)
    distances = np.where(samples.y[:25, None] == reference.y, np.inf, distances)
    assert np.array_equal(columns["distance"], distances.min(axis=1))


@pytest.fixture(scope="module")
def mnist(real_data):
    return {split: datasets.load("mnist", split, (real_data,)) for split in ("train", "test")}


def test_separation_of_real_images(mnist):
    samples, reference, n = mnist["test"], mnist["train"], 8
    columns = separation(samples, reference)(range(100, 100 + n))
    for row, distance, place in zip(range(100, 100 + n), columns["distance"], columns["nearest"]):
        image = samples.x[row].reshape(-1)
        other = reference.x.reshape(len(reference), -1)
        differences = np.concatenate(
            [(np.maximum(part, image) - np.minimum(part, image)).max(axis=1) for part in np.array_split(other, 100)]
        )
        allowed = reference.y != samples.y[row]
        assert round(255 * distance) == differences[allowed].min() == differences[place]
        assert allowed[place]


# Yang et al., Table 1: 0.812 from test to training images, 0.737 among training images; at the images that decide it.
@pytest.mark.parametrize(("split", "place", "printed"), [("test", 3040, 0.812), ("train", 3532, 0.737)])
def test_the_published_separation_of_mnist(mnist, split, place, printed):
    columns = separation(mnist[split], mnist["train"])(range(place - 10, place + 11))
    assert round(columns["distance"].min(), 3) == round(columns["distance"][10], 3) == printed


def test_splits_that_do_not_fit_together():
    with pytest.raises(UserError, match=r"uint8 \(1, 3, 3\) and uint8 \(1, 4, 3\)"):
        separation(made(4, 1), made(4, 2, pixels=(1, 4, 3)))
    with pytest.raises(UserError, match="all of one class"):
        separation(made(4, 1), made(4, 2, classes=1))


# ── the classifier that goes by distance ──


def test_nearest_neighbours(found):
    samples, reference = made(60, 3), made(500, 4)
    eps = 0.3
    columns = nearest(samples, reference, eps=eps)(range(60))
    distances = apart(samples, reference)
    same = samples.y[:, None] == reference.y
    assert columns["own"] == pytest.approx(np.where(same, distances, np.inf).min(axis=1))
    assert columns["other"] == pytest.approx(np.where(same, np.inf, distances).min(axis=1))
    of = found("nearest", columns, eps=eps)
    certified, attacked = of["certified_accuracy", "eps=0.3"].value, of["attacked_accuracy", "eps=0.3"].value
    assert certified <= attacked <= of["accuracy", ""].value
    lead = columns["other"] - columns["own"]
    assert certified == (lead > 2 * eps).mean()


def test_the_move_towards_another_class_is_judged_by_all_distances():
    samples, reference = made(50, 5, levels=52, pixels=(1, 2, 2)), made(200, 6, levels=52, pixels=(1, 2, 2))
    columns = nearest(samples, reference, eps=0.1)(range(50))
    same = samples.y[:, None] == reference.y
    targets = np.where(same, np.inf, apart(samples, reference)).argmin(axis=1)
    x, other = (each.x.reshape(len(each), -1).astype(int) for each in (samples, reference))
    moved = x + (other[targets] - x).clip(-25, 25)  # 0.1 is 25.5 grey levels
    after = np.abs(moved[:, None] - other[None]).max(axis=2)
    own, others = (np.where(rows, after, 999).min(axis=1) for rows in (same, ~same))
    assert np.array_equal(columns["broken"], own >= others)
    right = columns["other"] > columns["own"]
    assert (columns["broken"] & right).any()
    assert not columns["broken"][(columns["other"] - columns["own"]) / 2 > 0.1].any()


def test_a_training_image_is_measured_without_itself():
    samples = made(80, 7)
    columns = nearest(samples, samples)(range(80))
    distances = apart(samples, samples)
    distances[samples.y[:, None] != samples.y] = np.inf
    np.fill_diagonal(distances, np.inf)
    assert columns["own"] == pytest.approx(distances.min(axis=1))


# ── linear ──


@pytest.fixture(scope="module")
def fitted():
    """5 against 7 of the scanned digits."""
    entry = registry.find("linear")
    params = registry.resolved(entry, {"learning_rate": 0.1, "batch_size": 32})
    work = entry.function(datasets.load("digits", "test"), datasets.load("digits", "train"), **params)
    return {(each.metric, each.at): each for each in entry.summary(work(range(0)), params)}


def test_the_adversarial_classifier_is_less_accurate_and_more_robust(fitted):
    natural = [fitted["natural_accuracy", f"{name}, test"].value for name in ("standard", "adversarial")]
    robust = [fitted["robust_accuracy", f"{name}, test, eps=0.2"].value for name in ("standard", "adversarial")]
    assert natural[0] > natural[1] > 0.95
    assert robust[0] < 0.5 < 0.75 < robust[1]
    assert fitted["weight_l1_norm", "standard"].value > 2 * fitted["weight_l1_norm", "adversarial"].value
    images = datasets.load("digits", "test").y
    assert fitted["natural_accuracy", "standard, test"].n == np.isin(images, (5, 7)).sum()


def test_an_adversary_in_the_box_breaks_no_more(fitted):
    for name in ("standard", "adversarial"):
        at = f"{name}, test, eps=0.2"
        assert fitted["robust_accuracy", at].value <= fitted["robust_accuracy_in_box", at].value


def test_the_worst_moves_of_a_linear_classifier():
    draw = np.random.default_rng(0)
    w, x, y = draw.standard_normal(4), draw.random((30, 4)), np.where(draw.random(30) < 0.5, 1.0, -1.0)
    corners = 0.3 * np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    clean, moved, boxed = linear.margins(w, 0.1, x, y, 0.3).T
    everywhere = y[:, None] * ((x[:, None] + corners) @ w + 0.1)
    inside = y[:, None] * ((x[:, None] + corners).clip(0, 1) @ w + 0.1)
    assert clean == pytest.approx(y * (x @ w + 0.1))
    assert moved == pytest.approx(everywhere.min(axis=1))
    assert boxed == pytest.approx(inside.min(axis=1))


@pytest.mark.parametrize("eps", [0.0, 0.05])
def test_the_descent_is_that_of_the_loss(eps):
    """The same epochs with slopes by autograd."""
    draw = np.random.default_rng(1)
    x, y = draw.random((40, 5)), np.where(draw.random(40) < 0.5, 1.0, -1.0)
    w, b = torch.zeros(5, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(40)
        for rows in (order[:16], order[16:32], order[32:]):
            w, b = w.detach().requires_grad_(), b.detach().requires_grad_()
            margin = torch.tensor(y[rows]) * (torch.tensor(x[rows]) @ w + b) - eps * w.abs().sum()
            slopes = torch.autograd.grad(torch.nn.functional.softplus(-margin).mean(), (w, b))
            w, b = w - 0.2 * slopes[0], b - 0.2 * slopes[1]
    found = linear.fit(x, y, eps, 3, 0.2, 16)
    assert found[0] == pytest.approx(w.detach().numpy(), abs=1e-12)
    assert found[1] == pytest.approx(b.item(), abs=1e-12)


def test_a_class_that_is_not_there():
    entry = registry.find("linear")
    with pytest.raises(UserError, match="no image of class 7"):
        entry.function(made(9, 0), made(9, 1), negative=0, positive=7)


# ── features ──


@pytest.fixture(scope="module")
def used():
    """Columns and findings of 5 against 7 of the scanned digits."""
    entry = registry.find("features")
    params = registry.resolved(entry, {"learning_rate": 0.1, "batch_size": 32})
    columns = entry.function(datasets.load("digits", "test"), datasets.load("digits", "train"), **params)(range(0))
    return columns, {(each.metric, each.at): each for each in entry.summary(columns, params)}


def test_an_adversary_leaves_the_weight_to_correlated_features(used):
    _, found = used
    share, in_use = (
        [found[metric, name].value for name in ("standard", "adversarial")]
        for metric in ("weight_on_robust_features", "features_in_use")
    )
    assert share[0] + 0.2 < share[1] <= 1
    assert 0 < in_use[1] < in_use[0] / 2


def test_correlations_are_those_of_the_training_images(used):
    columns, found = used
    samples = datasets.load("digits", "train")
    rows = np.isin(samples.y, (5, 7))
    sign = np.where(samples.y[rows] == 7, 1, -1)
    pixels = samples.pixels[rows].reshape(rows.sum(), -1)
    for pixel, value in zip(columns["pixel"], columns["correlation"], strict=True):
        assert value == pytest.approx(abs(np.mean(sign * pixels[:, pixel])), abs=1e-6)
    assert (np.diff(columns["correlation"]) <= 0).all()
    assert found["correlation_max", ""].value == columns["correlation"][0]
    assert found["robust_features", ""].value == (columns["correlation"] >= 0.2).mean()


def test_accuracy_with_few_features(used, fitted):
    _, found = used
    for metric, at in (("natural_accuracy", "standard, test"), ("robust_accuracy", "standard, test, eps=0.2")):
        assert found[metric, "all features"] == replace(fitted[metric, at], at="all features")
    kept = [key.at for key in found.values() if key.metric == "natural_accuracy"]
    assert kept == [f"{count} features" for count in (1, 2, 4, 8, 16, 32, "all")]
    assert found["natural_accuracy", "1 features"].value < found["natural_accuracy", "all features"].value
    assert found["robust_accuracy", "4 features"].value > found["robust_accuracy", "all features"].value
