"""Local linearity regularisation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import ConvNet, seeded
from lessons import (
    BALLS,
    L2,
    LINF,
    SHAPE,
    Seen,
    agree,
    agree_with_slope,
    along,
    batch,
    by_differences,
    into,
    linear_net,
    noise,
    rows,
    smooth_net,
)

from robeval.errors import UserError
from robeval.train.methods.llr import llr

HOW = {"steps": 2, "step_size": LINF.eps / 2}


def losses(net, x, y):
    return F.cross_entropy(net(x), y, reduction="none")


def dot(a, b):
    return (a * b).flatten(1).sum(dim=1)


def slope(net, x, y, graph=False):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(losses(net, x, y).sum(), x, create_graph=graph)[0]


def rest(net, x, y, delta, g):
    return losses(net, x + delta, y) - losses(net, x, y) - dot(delta, g)


@pytest.mark.parametrize("threat", BALLS, ids=lambda threat: threat.norm)
def test_the_intended_loss_written_out(threat):
    net = smooth_net()
    problem = batch(net, threat)
    x, y = problem.x, problem.y
    g = slope(net, x, y)
    adv = into(batch(net, threat).random_point(), x, threat)
    for _ in range(2):
        delta = (adv - x).detach().requires_grad_()
        (climb,) = torch.autograd.grad(rest(net, x, y, delta, g).abs().sum(), delta)
        adv = into(x + delta.detach() + threat.eps / 2 * along(climb, threat), x, threat)
    g = slope(net, x, y, graph=True)
    far = rest(net, x, y, adv - x, g).abs()
    written_out = (losses(net, x, y) + 4 * far + 3 * dot(adv - x, g).abs()).mean()
    loss = llr(problem, net, steps=2, step_size=threat.eps / 2)
    agree_with_slope(loss, written_out, net, threat)


def test_the_released_loss_written_out():
    """Steps along g / max |g|, the box, then the whole row shrunk into the ball; the plain sum of two losses."""
    net = smooth_net()
    problem = batch(net)
    x, y, eps = problem.x, problem.y, LINF.eps
    adv = x + 0.001 * noise().normal(SHAPE)
    for _ in range(2):
        g = slope(net, adv, y)
        moved = (adv + eps / 2 * g / rows(g.flatten(1).abs().amax(dim=1))).clamp(0, 1)
        size = (moved - x).flatten(1).abs().amax(dim=1)
        adv = x + (moved - x) * rows((eps / size).clamp_max(1))
    written_out = (losses(net, x, y) + 4 * losses(net, adv, y)).mean()
    agree_with_slope(llr(problem, net, **HOW, variant="released"), written_out, net)
    agree(llr(batch(net), net, **HOW, variant="released", mu=0), written_out)


def test_a_loss_that_is_linear_in_the_image_has_no_rest():
    """As the class becomes hopeless, CE of a linear network tends to z_max - z_y, which is linear."""
    net = linear_net()
    net[1].bias.data = torch.tensor([0.0, 0.0, 200.0]).double()
    problem = batch(net)
    problem.y[:] = 0
    weight, x = net[1].weight.detach().numpy(), problem.x.flatten(1).numpy()
    expected = np.mean(x @ (weight[2] - weight[0]) + 200)
    assert llr(problem, net, **HOW, mu=0.0, weight=1e3).item() == pytest.approx(expected, rel=1e-9)


def test_the_inner_point_is_further_from_linear_than_random_ones():
    net = smooth_net()
    problem = batch(net)
    x, y = problem.x, problem.y
    seen = Seen(net).train()
    llr(batch(seen), seen, steps=30, step_size=LINF.eps / 10)
    g = slope(net, x, y)
    found = rest(net, x, y, seen.calls[-1][1] - x, g).abs()
    drawn = torch.rand(500, *x.shape, generator=seeded(1), dtype=torch.float64)
    others = torch.stack([rest(net, x, y, into(x + LINF.eps * (2 * u - 1), x, LINF) - x, g).abs() for u in drawn])
    assert (found > others.quantile(0.95, dim=0)).all()
    assert found.mean() > others.amax(dim=0).mean()


def test_the_gradient_is_the_slope_of_the_loss_itself():
    net = smooth_net()
    by_differences(lambda: llr(batch(net), net, **HOW), net)


@pytest.mark.parametrize("variant", ["intended", "released"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_it_attacks_in_the_mode_it_is_told(variant, mode):
    seen = Seen(ConvNet(shape=SHAPE, k=3)).train()
    problem = batch(seen)
    llr(problem, seen, **HOW, variant=variant, attack_mode=mode)
    attack = [(mode, "changed")] * 2
    if variant == "intended":
        attack = [(mode, "clean"), *attack]
    assert seen.told(problem.x) == [*attack, ("train", "clean"), ("train", "changed")]


def test_the_released_variant_has_no_l2_ball():
    net = smooth_net()
    with pytest.raises(UserError, match="'llr' as released is defined for norm 'linf' only, not 'l2'"):
        llr(batch(net, L2), net, **HOW, variant="released")
