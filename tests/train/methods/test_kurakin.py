"""Adversarial training at scale."""

import pytest
import torch
import torch.nn.functional as F
from lessons import (
    LINF,
    STEP_SIZE,
    STEPS,
    N,
    Seen,
    agree_with_slope,
    batch,
    by_differences,
    noise,
    smooth_net,
)

from robeval.attacks.pgd import pgd
from robeval.ops.microbatch import Microbatches
from robeval.ops.problem import Problem
from robeval.train.methods.kurakin import kurakin

HOW = {"steps": STEPS, "step_size": STEP_SIZE}


def last(net, clean):
    """A problem of the images from the `clean`-th on, with their own noise."""
    problem = batch(net)
    rows = torch.arange(clean, N)
    return Problem(Microbatches(net, len(rows)), problem.x[rows], problem.y[rows], LINF, noise().part(rows.numpy()))


@pytest.mark.parametrize("target", ["none", "least_likely", "random"])
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize(("share", "clean"), [(0.5, 3), (0.3, 2), (0.0, 0)])
def test_it_is_the_weighted_mean_of_algorithm_1(target, random_start, share, clean):
    net = smooth_net()
    problem = batch(net)
    x, y, w = problem.x, problem.y, 0.3
    adv = pgd(last(net, clean), **HOW, target=target, random_start=random_start, clip_start=True)
    losses = F.cross_entropy(net(torch.cat([x[:clean], adv])), y, reduction="none")
    written_out = (losses[:clean].sum() + w * losses[clean:].sum()) / (clean + w * (N - clean))
    loss = kurakin(problem, net, **HOW, target=target, random_start=random_start, clean_share=share)
    agree_with_slope(loss, written_out, net)


def test_the_defaults_are_one_step_to_the_least_likely_class_for_half_the_batch():
    seen = Seen(smooth_net())
    kurakin(batch(seen), seen, step_size=0.05)
    x, adv = (
        batch(seen.net).x,
        pgd(last(seen.net, 3), steps=1, step_size=0.05, target="least_likely", random_start=False),
    )
    torch.testing.assert_close(seen.calls[-1][1], torch.cat([x[:3], adv]), rtol=0, atol=0)
    assert [mode for mode, _ in seen.calls] == ["eval", "eval", "train"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_with_no_weight_the_attacked_images_do_not_count(share):
    net = smooth_net()
    problem = batch(net)
    loss = kurakin(problem, net, **HOW, clean_share=share, weight=0.0)
    assert loss.item() == (0 if share == 0 else pytest.approx(F.cross_entropy(net(problem.x), problem.y).item()))


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: kurakin(batch(net), net, **HOW), net)
