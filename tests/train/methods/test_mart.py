"""MART."""

import numpy as np
import pytest
import torch
from lessons import (
    BALLS,
    SHAPE,
    STEP_SIZE,
    STEPS,
    Seen,
    agree_with_slope,
    attacked,
    batch,
    by_differences,
    ce_sum,
    kl,
    noise,
    smooth_net,
)

from robeval.train.methods.mart import mart

HOW = {"steps": STEPS, "step_size": STEP_SIZE}


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
def test_it_is_the_boosted_cross_entropy_and_the_weighted_divergence(threat):
    net = smooth_net()
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    adv = attacked(net, x + 0.001 * noise().normal(SHAPE), x, threat, ce_sum(y))
    p, q = torch.softmax(net(x), dim=1), torch.softmax(net(adv), dim=1)
    boosted, doubt = [], []
    for row, c in enumerate(y.tolist()):
        rival = max(q[row, k] for k in range(3) if k != c)
        boosted.append(-torch.log(q[row, c]) - torch.log(1.0001 - rival))
        doubt.append(1.0000001 - p[row, c])
    written_out = torch.stack(boosted).mean() + 6.0 * (kl(p, q) * torch.stack(doubt)).mean()
    agree_with_slope(mart(problem, net, **HOW), written_out, net, threat)


def test_in_numpy_on_the_images_it_learns_from():
    seen = Seen(smooth_net())
    problem = batch(seen)
    loss = mart(problem, seen, **HOW, beta=5.0).item()
    (mode, x), (again, adv) = seen.calls[-2:]
    assert (mode, again) == ("train", "train")

    def softmax(images):
        z = np.exp(seen.net(images).detach().numpy())
        return z / z.sum(axis=1, keepdims=True)

    p, q, y = softmax(x), softmax(adv), problem.y.numpy()
    true, rival = q[range(6), y], np.where(np.eye(3)[y] == 1, 0, q).max(axis=1)
    divergence = (p * np.log(p / q)).sum(axis=1) * (1 - p[range(6), y])
    assert loss == pytest.approx(np.mean(-np.log(true) - np.log(1.0001 - rival) + 5 * divergence), rel=1e-5)


def test_a_certain_mistake_costs_a_finite_loss():
    net = smooth_net()
    net[3].bias.data += torch.tensor([0.0, 0.0, 1e3])
    assert mart(batch(net), net, **HOW).isfinite()


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: mart(batch(net), net, **HOW), net)
