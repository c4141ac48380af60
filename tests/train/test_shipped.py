"""The digits baselines that come with robeval."""

from dataclasses import replace

import pytest
import torch

from robeval.attacks.pgd import pgd
from robeval.datasets import registry as datasets
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.loop import train
from robeval.train.modes import threads
from robeval.train.recipe import read
from robeval.values.threat import ThreatModel
from robeval.zoo import cards
from robeval.zoo.load import load_model

BALL = ThreatModel("linf", 3 / 16)
BASELINES = ("natural_digits", "madry_digits", "trades_digits")


def accuracies(card):
    """Clean and PGD-20 accuracy on the test images, in %, from one random start."""
    data = datasets.load("digits", "test")
    x, y = data.slice(0, len(data))
    with threads(1):
        net = load_model(card, data.shape, data.num_classes).module
        clean = net(x).argmax(dim=1) == y
        problem = Problem(Microbatches(net, 128), x, y, BALL, Noise(0, "test", 0, range(len(y))))
        adv = pgd(problem, steps=20, step_size=BALL.eps / 8)
        robust = net(adv).argmax(dim=1) == y
    return tuple(100 * kept.float().mean().item() for kept in (clean, robust))


@pytest.fixture(scope="module")
def shipped():
    return {name: accuracies(cards.load(name)) for name in BASELINES}


def test_robustness_costs_natural_accuracy(shipped):
    clean = {name: each[0] for name, each in shipped.items()}
    robust = {name: each[1] for name, each in shipped.items()}
    assert clean["natural_digits"] >= max(clean["madry_digits"], clean["trades_digits"])
    assert min(clean.values()) > 97
    assert robust["natural_digits"] < 3
    assert 58 < robust["madry_digits"] < 70
    assert 58 < robust["trades_digits"] < 70


@pytest.mark.parametrize("name", BASELINES)
def test_their_recipes_can_be_used(name):
    card = cards.load(name)
    recipe = read(card, len(datasets.load("digits", "train")))
    assert f"{recipe.method.name}_digits" == name
    assert not recipe.method.adversarial or recipe.threat == BALL


def again(name, out, **changes):
    """Accuracies of the model, trained again by its recipe with changes."""
    card = cards.load(name)
    training = {**card.training, **changes}
    data = datasets.load("digits", "train")
    path = train(replace(card, training=training), data, out, torch.device("cpu"), lambda epoch: None)
    return accuracies(cards.load(str(path)))


def test_trained_again_the_cheapest_is_as_good(shipped, tmp_path):
    assert again("natural_digits", tmp_path) == pytest.approx(shipped["natural_digits"], abs=1.5)


def test_a_few_epochs_of_the_recipe_of_trades_are_on_their_way(tmp_path):
    """All of its recipe but how long: natural training never gets to 3 % under the same attack."""
    clean, robust = again("trades_digits", tmp_path, epochs=6, decay_epochs=[5, 6])
    assert clean > 90
    assert robust > 30
