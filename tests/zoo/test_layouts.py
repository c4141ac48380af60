"""Whether weights fit a network."""

import pytest
import torch
from torch import nn

from robeval.errors import UserError
from robeval.zoo.layouts import fit


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(3)
        self.fc = nn.Linear(3, 2)


@pytest.fixture
def state():
    return Net().state_dict() | {"bn.running_mean": torch.full((3,), 5.0)}


def test_weights_that_fit(state):
    net = Net()
    assert fit(state, net, "net.pt") == ()
    assert net.bn.running_mean.tolist() == [5, 5, 5]


def test_counters_may_be_missing(state):
    del state["bn.num_batches_tracked"]
    net = Net()
    assert fit(state, net, "net.pt") == ()
    assert net.bn.running_mean.tolist() == [5, 5, 5]


def test_the_unused_block_of_trades_is_dropped_with_a_note(state):
    extra = {f"sub_block1.layer.{i}.conv1.weight": torch.zeros(1) for i in range(3)}
    assert fit(state | extra, Net(), "net.pt") == ("dropped 3 tensors that the network does not use: sub_block1.*",)


def test_other_precisions_are_noted(state):
    state["fc.weight"] = state["fc.weight"].half()
    (note,) = fit(state, Net(), "net.pt")
    assert note == "some weights are stored as float16; they are used as float32"


def test_what_does_not_fit_is_listed(state):
    net = Net()
    before = net.fc.weight.clone()
    for i in range(5):
        state[f"extra{i}"] = torch.zeros(1)
    del state["bn.running_var"]
    state["fc.weight"] = torch.zeros(2, 4)
    state["fc.bias"] = torch.zeros(2, dtype=torch.int8)
    with pytest.raises(UserError) as caught:
        fit(state, net, "net.pt")
    message = str(caught.value)
    assert "1 missing: bn.running_var" in message
    assert "5 unexpected: extra0, extra1, extra2 and 2 more" in message
    assert "fc.weight (found 2x4, expected 2x3)" in message
    assert "fc.bias (found whole numbers 2, expected 2)" in message
    assert "[network]" in caught.value.fix
    assert torch.equal(net.fc.weight, before)
