"""The digits baselines that come with robeval."""

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
    """Clean and PGD-40 accuracy on the test images, in %: two random starts, as the papers test else."""
    data = datasets.load("digits", "test")
    x, y = data.slice(0, len(data))
    with threads(1):
        net = load_model(card, data.shape, data.num_classes).module
        clean = robust = net(x).argmax(dim=1) == y
        for restart in range(2):
            problem = Problem(Microbatches(net, 128), x, y, BALL, Noise(0, "test", restart, range(len(y))))
            adv = pgd(problem, steps=40, step_size=BALL.eps / 10)
            robust = robust & (net(adv).argmax(dim=1) == y)
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


def test_trained_again_trades_is_as_good(shipped, tmp_path):
    data = datasets.load("digits", "train")
    path = train(cards.load("trades_digits"), data, tmp_path, torch.device("cpu"), lambda epoch: None)
    assert accuracies(cards.load(str(path))) == pytest.approx(shipped["trades_digits"], abs=3)
