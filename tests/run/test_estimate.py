"""How long a run may take."""

import time

import pytest
import torch
from records import spec
from torch import nn

from robeval.run import estimate
from robeval.values.threat import ThreatModel


def test_passes_are_the_product_of_what_an_attack_repeats():
    assert estimate.passes([spec(params={"steps": 20, "step_size": 0.1})]) == 20
    assert estimate.passes([spec(params={"steps": 20}, restarts=5), spec(params={"queries": 7})]) == 107
    assert estimate.passes([spec(params={"steps": 100, "targets": 9}, eot=2)]) == 1800
    assert estimate.passes([spec(params={})]) == 1


def test_searches_that_repeat_all_steps_are_counted():
    """As the attacks' own docstrings say what they cost."""
    l2, linf = ThreatModel("l2", 1.0), ThreatModel("linf", 0.1)
    cases = [
        ("carlini_wagner", l2, {"steps": 100, "searches": None}, 500),
        ("carlini_wagner", l2, {"steps": 100, "searches": 9}, 900),
        ("carlini_wagner", linf, {"steps": 10, "searches": None}, 740),
        ("mifgsm_search", linf, {"steps": 10, "tries": 3}, 60),
        ("lbfgs", l2, {"steps": 150, "doublings": 10}, 1500),
    ]
    for use, threat, params, passes in cases:
        assert estimate.passes([spec(use=use, threat=threat, params=params)]) == passes


def test_a_larger_network_takes_longer():
    small, large = nn.Sequential(nn.Flatten(), nn.Linear(64, 8)), nn.Sequential(nn.Flatten(), nn.Linear(64, 200_000))
    times = [estimate.seconds_per_pass(net, (1, 8, 8), torch.device("cpu")) for net in (small, large)]
    assert 0 < times[0] < times[1]


class Slow(nn.Module):
    """Takes a while, and remembers how many images it was given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        time.sleep(0.11)
        return x


def test_a_network_that_takes_long_is_asked_about_single_images():
    net = Slow()
    assert 0.11 <= estimate.seconds_per_pass(net, (1, 8, 8), torch.device("cpu")) < 10
    assert net.seen == [1, 1]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.01, "1 s"), (59, "59 s"), (119, "119 s"), (180, "3 min"), (7300, "2 h"), (4e5, "5 days")]
)
def test_times_in_words(seconds, words):
    assert estimate.in_words(seconds) == words
