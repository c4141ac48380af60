"""What a card's `[training]` may say."""

import math
from dataclasses import replace

import pytest

from robeval.errors import UserError
from robeval.train.recipe import read
from robeval.train.schedule import rate
from robeval.values.card import ModelCard, Network
from robeval.values.threat import ThreatModel

TRADES = {
    "method": "trades",
    "beta": 6,
    "steps": 10,
    "step_size": "2/255",
    "norm": "linf",
    "eps": "8/255",
    "epochs": 76,
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 2e-4,
    "decay_epochs": [75, 90, 100],
}
NATURAL = {"method": "natural", "epochs": 1, "batch_size": 1, "learning_rate": 1}


def recipe(training, count=1000):
    written = {key: value for key, value in training.items() if value is not None}
    card = ModelCard("it", "It", "digits", Network("small_cnn"), training=written, where="zoo/cards/it.toml")
    return read(card, count)


def refusal(training):
    with pytest.raises(UserError) as caught:
        recipe(training)
    message = str(caught.value)
    assert "zoo/cards/it.toml: [training]" in message
    return message


def test_a_recipe_is_read_with_its_defaults():
    read = recipe(TRADES)
    assert read.method.name == "trades"
    assert read.params == {
        "beta": 6.0,
        "steps": 10,
        "step_size": 2 / 255,
        "detach_clean": False,
        "attack_mode": "eval",
    }
    assert read.threat == ThreatModel("linf", 8 / 255)
    settings = read.settings
    assert (settings.epochs, settings.batch_size, settings.momentum, settings.weight_decay) == (76, 128, 0.9, 2e-4)
    assert (settings.optimiser, settings.decay_factor, settings.seed, settings.threads) == ("sgd", 0.1, 0, 0)


def test_the_rate_falls_from_the_epochs_on_that_are_named():
    settings = recipe(TRADES | {"epochs": 100}).settings
    assert [rate(settings, epoch - 1) for epoch in (1, 74)] == [0.1, 0.1]
    assert rate(settings, 73.999) == 0.1
    assert [rate(settings, epoch - 1) for epoch in (75, 89, 90, 100)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4])
    steps = replace(settings, decay_epochs=(103.4, 154.6))  # Madry's 40,000 and 60,000 batches
    assert [rate(steps, done) for done in (102.3, 102.41, 153.7)] == pytest.approx([0.1, 0.01, 0.001])


def test_the_rate_falls_as_half_a_cosine_or_a_line_after_the_warm_up():
    base = recipe(TRADES | {"epochs": 15, "decay_epochs": None, "warmup_epochs": 5}).settings
    assert [rate(base, done) for done in (0, 2.5, 5, 14.9)] == pytest.approx([0, 0.05, 0.1, 0.1])
    cosine, linear = replace(base, schedule="cosine"), replace(base, schedule="linear")
    assert [rate(cosine, done) for done in (1, 5, 10, 15)] == pytest.approx([0.02, 0.1, 0.05, 0])
    assert rate(cosine, 7.5) == pytest.approx(0.1 * (1 + math.sqrt(0.5)) / 2)
    assert [rate(linear, done) for done in (1, 5, 7.5, 15)] == pytest.approx([0.02, 0.1, 0.075, 0])


def test_natural_needs_no_ball():
    assert recipe(NATURAL, count=1).params == {}
    assert "takes no 'eps'" in refusal(NATURAL | {"eps": 0.1})


def test_a_norm_that_the_method_is_not_defined_for_is_refused():
    message = refusal(TRADES | {"norm": "l1"})
    assert "'trades' is not defined for norm 'l1'" in message
    assert "It can do: linf, l2." in message
    exact = {**NATURAL, "method": "linear_exact", "norm": "linf", "eps": 0.1}
    assert recipe(exact | {"norm": "l1"}).threat == ThreatModel("l1", 0.1)
    assert "'free' is not defined for norm 'l2'" in refusal(exact | {"method": "free", "norm": "l2"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": None}, ["'method' is missing", "madry, mart, natural"]),
        ({"method": "trade"}, ["unknown method 'trade'", "Did you mean 'trades'?"]),
        ({"method": ["trades"]}, ["unknown method ['trades']"]),
        ({"epoch": 3}, ["takes no 'epoch'", "Did you mean 'epochs'?"]),
        ({"bta": 6.0}, ["takes no 'bta'", "Did you mean 'beta'?"]),
        ({"epochs": 0}, ["'epochs' is 0", "at least 1"]),
        ({"epochs": None}, ["'epochs' is missing"]),
        ({"steps": None}, ["'steps' is missing"]),
        ({"batch_size": 1001}, ["'batch_size' is 1001", "only 1000 training images"]),
        ({"batch_size": True}, ["'batch_size' is True", "a whole number"]),
        ({"learning_rate": -0.1}, ["'learning_rate' is -0.1", "above 0"]),
        ({"learning_rate": 0}, ["'learning_rate' is 0", "above 0"]),
        ({"momentum": -1}, ["'momentum' is -1"]),
        ({"optimiser": "adm"}, ["'optimiser' is 'adm'", "'sgd', 'adam'"]),
        ({"optimiser": "adam"}, ["'momentum' is 0.9", "adam has its own"]),
        ({"decay_epochs": [0]}, ["'decay_epochs' is [0]"]),
        ({"decay_epochs": 5}, ["'decay_epochs' is 5"]),
        ({"norm": "l7"}, ["'norm' is 'l7'", "'linf', 'l2'"]),
        ({"eps": 8}, ["'eps' is 8", 'Did you mean "8/255"?']),
        ({"eps": None}, ["needs a ball", "'eps' is missing"]),
        ({"norm": None}, ["'eps' is given, but not the norm"]),
        ({"validation": 0.0001}, ["'validation' is 0.0001", "none of 1000"]),
        ({"validation": 0.9}, ["'batch_size' is 128", "only 100 training images after 900 are held out"]),
        ({"schedule": "cosine"}, ["'decay_epochs' is given", '"cosine" would not use it']),
        ({"warmup_epochs": 76}, ["'warmup_epochs' is 76", "only 76 epochs"]),
        ({"keep_epochs": [1, 77]}, ["'keep_epochs' has 77", "only 76 epochs"]),
        ({"ema": 1}, ["'ema' is 1"]),
        ({"flip": True}, ["'flip' is True", "'none', 'image', 'batch'"]),
        ({"beta": -1}, ["'beta' is -1", "at least 0"]),
        ({"seed": -1}, ["'seed' is -1"]),
        ({"seed": 0.5}, ["'seed' is 0.5", "a whole number"]),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes, words):
    message = refusal(TRADES | changes)
    assert [word for word in words if word not in message] == []


def test_all_problems_are_told_together():
    message = refusal(TRADES | {"epochs": 0, "batch_sise": 3, "steps": "many", "eps": None, "learning_rate": -1})
    assert message.startswith("4 things stand in the way")
    for word in ("'epochs'", "'batch_sise'", "'steps'", "'learning_rate'"):
        assert word in message
    message = refusal(TRADES | {"batch_size": 4096, "eps": None, "bta": 1})
    assert message.startswith("3 things stand in the way")
