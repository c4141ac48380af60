"""Free adversarial training."""

import copy

import pytest
import torch
import torch.nn.functional as F
from lessons import LINF, N, batch, course, noise, smooth_net

from robeval.ops.microbatch import Microbatches
from robeval.ops.problem import Problem
from robeval.train.methods.free import free
from robeval.values.threat import ThreatModel

RATE, REPLAYS = 0.1, 3


def batches():
    """Two of six images and one of two, as (x, y)."""
    x = batch(smooth_net()).x
    y = torch.arange(N) % 3
    return [(x, y), (1 - x, (y + 1) % 3), (x[:2], y[:2])]


@pytest.mark.parametrize("step_size", [None, 0.02])
def test_it_is_algorithm_1(step_size):
    """Weights and the change of the images learn from the same backward pass, through all batches."""
    net, state = smooth_net(), course()
    theirs = copy.deepcopy(net)
    delta, step, eps = torch.zeros(N, 1, 3, 3, dtype=torch.float64), step_size or LINF.eps, LINF.eps
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE)
    for x, y in batches():
        for _ in range(REPLAYS):
            problem = Problem(Microbatches(net, len(y)), x, y, LINF, noise())
            optimiser.zero_grad()
            loss = free(problem, net, state, step_size=step_size)
            loss.backward()
            optimiser.step()

            change = delta[: len(y)].clone().requires_grad_()
            expected = F.cross_entropy(theirs((x + change).clamp(0, 1)), y)
            slopes = torch.autograd.grad(expected, [change, *theirs.parameters()])
            with torch.no_grad():
                delta[: len(y)] = (change + step * slopes[0].sign()).clamp(-eps, eps)
                for weight, slope in zip(theirs.parameters(), slopes[1:]):
                    weight -= RATE * slope
            torch.testing.assert_close(loss, expected)
            torch.testing.assert_close(state.memory["delta"], delta)
    for ours, other in zip(net.parameters(), theirs.parameters()):
        torch.testing.assert_close(ours, other)
    assert delta.abs().amax() == eps


def test_the_change_stays_in_the_ball_and_the_images_in_the_box():
    net, state, small = smooth_net(), course(), ThreatModel("linf", 0.03)
    for _ in range(4):
        free(batch(net, small), net, state, step_size=0.05).backward()
        assert state.memory["delta"].abs().amax() <= 0.03


def test_without_a_backward_pass_nothing_is_remembered():
    state = course()
    net = smooth_net()
    free(batch(net), net, state)
    assert state.memory == {}


def test_what_is_remembered_is_all_it_goes_on_from():
    """As a training that is taken up again does."""
    net, state = smooth_net(), course()
    for _ in range(2):
        free(batch(net), net, state).backward()
    again = course()
    again.memory.update({name: tensor.clone() for name, tensor in state.memory.items()})
    assert free(batch(net), net, state) == free(batch(net), net, again)
    assert not state.memory["delta"].requires_grad
