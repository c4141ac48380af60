"""PGD adversarial training, and half-half training."""

import pytest
import torch
import torch.nn.functional as F
from doubles import ConvNet
from lessons import (
    BALLS,
    LINF,
    SHAPE,
    STEP_SIZE,
    STEPS,
    N,
    Seen,
    agree_with_slope,
    attacked,
    batch,
    by_differences,
    ce_sum,
    into,
    noise,
    smooth_net,
)

from robeval.attacks.pgd import pgd
from robeval.ops.microbatch import Microbatches
from robeval.ops.problem import Problem
from robeval.train.methods.madry import madry
from robeval.train.methods.natural import natural

HOW = {"steps": STEPS, "step_size": STEP_SIZE}


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("random_start", [True, False])
def test_it_is_the_cross_entropy_after_a_hand_written_pgd(threat, random_start):
    net = smooth_net()
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    start = into(batch(net, threat).random_point(), x, threat) if random_start else x
    adv = attacked(net, start, x, threat, ce_sum(y))
    assert (adv - x).abs().amax() > 0.02
    loss = madry(problem, net, **HOW, random_start=random_start)
    agree_with_slope(loss, F.cross_entropy(net(adv), y), net, threat)
    assert loss > natural(problem, net)


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
def test_it_learns_from_the_images_of_the_attack_pgd(threat):
    seen = Seen(smooth_net())
    madry(batch(seen, threat), seen, **HOW)
    adv = pgd(batch(seen.net, threat), **HOW, clip_start=True)
    torch.testing.assert_close(seen.calls[-1][1], adv, rtol=0, atol=0)


def test_the_gradient_is_the_slope_of_the_loss_itself():
    """The adversarial images move by signs, so they stay where they are for a tiny step."""
    net = smooth_net()
    by_differences(lambda: madry(batch(net), net, **HOW), net)


def test_the_start_is_uniform_noise_clipped_to_the_box():
    net = smooth_net()
    x = batch(net).x
    start = (x + LINF.eps * (2 * noise().uniform(SHAPE) - 1)).clamp(0, 1)
    torch.testing.assert_close(batch(net).random_point(clip=True), start, rtol=0, atol=1e-7)


def test_it_attacks_in_the_mode_it_is_told():
    seen = Seen(ConvNet(shape=SHAPE, k=3)).train()
    problem = batch(seen)
    madry(problem, seen, steps=2, step_size=STEP_SIZE)
    madry(problem, seen, steps=2, step_size=STEP_SIZE, attack_mode="eval")
    learn = ("train", "changed")
    assert seen.told(problem.x) == [*[learn] * 3, *[("eval", "changed")] * 2, learn]


def test_half_half_is_the_mean_over_clean_first_and_attacked_last_images():
    net = smooth_net()
    problem = batch(net)
    x, y = problem.x, problem.y
    half = N // 2
    rest = Problem(Microbatches(net, half), x[half:], y[half:], LINF, noise().part(torch.arange(half, N).numpy()))
    adv = pgd(rest, **HOW, clip_start=True)
    losses = F.cross_entropy(net(torch.cat([x[:half], adv])), y, reduction="none")
    loss = madry(problem, net, **HOW, clean_share=0.5)
    agree_with_slope(loss, losses.sum() / N, net)


def test_the_attack_of_half_a_batch_sees_that_half_alone():
    seen = Seen(smooth_net())
    madry(batch(seen), seen, **HOW, clean_share=0.5)
    assert [len(x) for _, x in seen.calls] == [N // 2] * STEPS + [N]


@pytest.mark.parametrize(("share", "clean"), [(0.0, 0), (0.2, 1), (0.4, 2), (0.9, 5), (1.0, 6)])
def test_the_share_is_rounded_to_images(share, clean):
    seen = Seen(smooth_net())
    problem = batch(seen)
    loss = madry(problem, seen, **HOW, clean_share=share)
    same = (seen.calls[-1][1] == problem.x).flatten(1).all(dim=1)
    assert same.tolist() == [True] * clean + [False] * (N - clean)
    assert (loss == natural(problem, seen)) == (share == 1)
