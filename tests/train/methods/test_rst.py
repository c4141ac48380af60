"""Robust self-training on labelled data."""

import pytest
import torch.nn.functional as F
from doubles import ConvNet
from lessons import BALLS, SHAPE, STEP_SIZE, STEPS, Seen, agree_with_slope, batch, by_differences, smooth_net

from robeval.attacks.pgd import pgd
from robeval.train.methods.rst import rst

HOW = {"steps": STEPS, "step_size": STEP_SIZE}


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_it_is_both_cross_entropies(threat, weight):
    net = smooth_net()
    problem = batch(net, threat)
    adv = pgd(batch(net, threat), **HOW, clip_start=True)
    written_out = F.cross_entropy(net(problem.x), problem.y) + weight * F.cross_entropy(net(adv), problem.y)
    agree_with_slope(rst(problem, net, **HOW, weight=weight), written_out, net)


def test_the_order_of_passes_is_the_released_one():
    seen = Seen(ConvNet(shape=SHAPE, k=3)).train()
    problem = batch(seen)
    rst(problem, seen, steps=2, step_size=STEP_SIZE)
    assert seen.told(problem.x) == [("train", "changed")] * 3 + [("train", "clean")]
    seen.calls.clear()
    rst(problem, seen, steps=2, step_size=STEP_SIZE, attack_mode="eval")
    assert seen.told(problem.x) == [("eval", "changed")] * 2 + [("train", "changed"), ("train", "clean")]


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: rst(batch(net), net, **HOW), net)
