"""Accuracies read off a method's own passes, against passes made for the purpose."""

import pytest
import torch
from doubles import ConvNet, classes, images
from torch import nn

from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.train.passing import Passing
from robeval.train.registry import Course, catalog
from robeval.values.threat import ThreatModel

N = 24
SHAPE = (1, 8, 8)
KEYWORDS = {"steps": 3, "step_size": 0.3}


class Counted(nn.Module):
    """Another network that counts its passes and keeps the last images it was asked about."""

    def __init__(self, net):
        super().__init__()
        self.net, self.passes, self.last = net, 0, None

    def forward(self, x):
        self.passes += 1
        self.last = x.detach().clone()
        return self.net(x)


def heard(name, **more):
    """What is heard of a method's passes over a batch, and the network."""
    entry = catalog()[name]
    net = Counted(ConvNet(SHAPE).eval())  # without dropout, so that every pass says the same
    x, y = images(N, SHAPE), torch.arange(N) % 10
    y[: N // 2] = classes(net, x)[: N // 2]
    problem = Problem(Microbatches(net, N), x, y, ThreatModel("linf", 0.4), Noise(0, name, 1, range(N)))
    params = dict(KEYWORDS)
    with Passing(net, x) as passing:
        entry.loss(problem, net, Course(1, 1, {}), params | more)
    before = net.passes
    found = passing.right(y)
    assert net.passes == before  # it costs none
    return found, net, x, y


@pytest.mark.parametrize("name", ["trades", "mart", "bat"])
def test_clean_images_are_heard_of_where_the_method_passes_them(name):
    (clean, right, _, _), net, x, y = heard(name)
    assert clean.all()
    assert torch.equal(right, classes(net.net, x) == y)
    assert 0 < right.sum() < N


@pytest.mark.parametrize("name", ["madry", "trades"])
def test_changed_images_are_those_that_are_learnt_from(name):
    (_, _, changed, robust), net, x, y = heard(name)
    assert changed.all()
    if name == "madry":  # its last pass is that of the loss
        assert torch.equal(robust, classes(net.net, net.last) == y)
    assert robust.sum() < (classes(net.net, x) == y).sum()


def test_where_no_clean_image_is_passed_none_is_counted():
    (clean, right, changed, _), _, _, _ = heard("madry", random_start=True)
    assert not clean.any()
    assert not right.any()
    assert changed.all()


def test_half_a_batch_that_is_clean_counts_as_clean():
    (clean, right, changed, robust), net, _, y = heard("madry", clean_share=0.5)
    first = torch.arange(N) < N // 2
    assert torch.equal(clean, first)
    assert torch.equal(changed, ~first)
    expected = classes(net.net, net.last) == y
    assert torch.equal(right, expected & first)
    assert torch.equal(robust, expected & ~first)


def test_afterwards_nothing_listens():
    net = ConvNet(SHAPE)
    with Passing(net, images(2, SHAPE)):
        assert net._forward_hooks
    assert not net._forward_hooks
