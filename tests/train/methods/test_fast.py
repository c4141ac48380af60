"""Fast adversarial training."""

import pytest
import torch
import torch.nn.functional as F
from lessons import BALLS, LINF, Seen, agree_with_slope, batch, by_differences, smooth_net

from robeval.attacks.pgd import pgd
from robeval.train.methods.fast import fast


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("step_size", [None, 0.01])
def test_it_is_one_step_of_pgd_from_a_clipped_random_point(threat, step_size):
    seen = Seen(smooth_net())
    problem = batch(seen, threat)
    length = 1.25 * threat.eps if step_size is None else step_size
    adv = pgd(batch(seen.net, threat), steps=1, step_size=length, clip_start=True)
    loss = fast(problem, seen, step_size=step_size)
    agree_with_slope(loss, F.cross_entropy(seen.net(adv), problem.y), seen)
    assert [mode for mode, _ in seen.calls] == ["train", "train"]
    torch.testing.assert_close(seen.calls[-1][1], adv, rtol=0, atol=0)


def test_most_pixels_end_on_the_border_of_the_ball():
    """A step of 1.25 eps from a uniform point is beyond it with probability 5/8."""
    seen = Seen(smooth_net())
    problem = batch(seen, low=0.2, high=0.8)
    fast(problem, seen)
    on_border = ((seen.calls[-1][1] - problem.x).abs() > LINF.eps - 1e-6).double().mean()
    assert 0.4 < on_border < 0.85


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: fast(batch(net), net), net)
