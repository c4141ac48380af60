"""What is switched for a while and back again."""

import pytest
from torch import nn

from robeval.train.modes import eval_mode, in_mode


def network():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm2d(1), nn.Dropout())).train()
    net[1][0].eval()  # frozen by whoever made it
    return net


def test_eval_mode_puts_every_layer_back():
    net = network()
    with pytest.raises(RuntimeError, match="stop"), eval_mode(net):
        assert not any(layer.training for layer in net.modules())
        raise RuntimeError("stop")
    assert [layer.training for layer in net.modules()] == [True, True, True, False, True]


def test_in_mode_is_evaluation_or_nothing():
    net = network()
    before = [layer.training for layer in net.modules()]
    with in_mode(net, "train"):
        assert [layer.training for layer in net.modules()] == before
    with in_mode(net, "eval"):
        assert not any(layer.training for layer in net.modules())
    assert [layer.training for layer in net.modules()] == before
