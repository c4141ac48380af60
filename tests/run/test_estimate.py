"""How long a run may take."""

import pytest
import torch
from records import spec
from torch import nn

from robeval.run import estimate


def test_passes_are_the_product_of_what_an_attack_repeats():
    assert estimate.passes([spec(params={"steps": 20, "step_size": 0.1})]) == 20
    assert estimate.passes([spec(params={"steps": 20}, restarts=5), spec(params={"queries": 7})]) == 107
    assert estimate.passes([spec(params={"steps": 100, "targets": 9}, eot=2)]) == 1800
    assert estimate.passes([spec(params={})]) == 1


def test_a_larger_network_takes_longer():
    small, large = nn.Sequential(nn.Flatten(), nn.Linear(64, 8)), nn.Sequential(nn.Flatten(), nn.Linear(64, 200_000))
    times = [estimate.seconds_per_pass(net, (1, 8, 8), torch.device("cpu")) for net in (small, large)]
    assert 0 < times[0] < times[1]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.01, "1 s"), (59, "59 s"), (119, "119 s"), (180, "3 min"), (7300, "2 h"), (4e5, "5 days")]
)
def test_times_in_words(seconds, words):
    assert estimate.in_words(seconds) == words
