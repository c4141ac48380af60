"""One batch of each training method in the plain structure of the papers' scripts, for `train.py` to compare with.

Each function returns the loss that the weights learn from. `live` says how the inner problem asks for its slopes: by
`loss.backward()`, which computes those of all weights as well, or by `autograd.grad`. Settings are those that robeval's
methods have if nothing is said.
"""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BETA = 6.0


class Ball(Protocol):
    """The ball, and the steps inside."""

    eps: float
    steps: int
    step_size: float


Loss = Callable[[Tensor], Tensor]


def slope_of(value: Tensor, adv: Tensor, live: bool) -> Tensor:
    if live:
        value.backward()
        return adv.grad
    return torch.autograd.grad(value, adv)[0]


def inner(net: nn.Module, start: Tensor, x: Tensor, how: Ball, loss: Loss, live: bool, one: float = 0) -> Tensor:
    """The last iterate of the ball's steps, or of `one` step of that length."""
    adv = start
    for _ in range(1 if one else how.steps):
        adv = adv.detach().requires_grad_()
        adv = adv.detach() + (one or how.step_size) * slope_of(loss(net(adv)), adv, live).sign()
        adv = torch.min(torch.max(adv, x - how.eps), x + how.eps).clamp(0, 1)
    return adv


def near(x: Tensor) -> Tensor:
    return x + 0.001 * torch.randn_like(x)


def anywhere(x: Tensor, how: Ball) -> Tensor:
    return (x + how.eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1)


def divergence(logits: Tensor, clean: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), F.softmax(clean, dim=1), reduction="sum")


def natural(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    return F.cross_entropy(net(x), y)


def madry(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    adv = inner(net, anywhere(x, how), x, how, lambda logits: F.cross_entropy(logits, y), live)
    return F.cross_entropy(net(adv), y)


def rst(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    return madry(net, x, y, how, live) + F.cross_entropy(net(x), y)


def fast(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    adv = inner(net, anywhere(x, how), x, how, lambda logits: F.cross_entropy(logits, y), live, 1.25 * how.eps)
    return F.cross_entropy(net(adv), y)


def free(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    delta = torch.zeros_like(x).requires_grad_()  # its slope comes with those of the weights
    return F.cross_entropy(net((x + delta).clamp(0, 1)), y)


def trades(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    net.eval()
    adv = inner(net, near(x), x, how, lambda logits: divergence(logits, net(x)), live)
    net.train()
    return F.cross_entropy(net(x), y) + BETA * divergence(net(adv), net(x)) / len(x)


def mart(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    net.eval()
    adv = inner(net, near(x), x, how, lambda logits: F.cross_entropy(logits, y), live)
    net.train()
    clean, changed = net(x), net(adv)
    p, q = clean.softmax(dim=1), changed.softmax(dim=1)
    rival = q.scatter(1, y[:, None], 0.0).amax(dim=1)
    boosted = F.cross_entropy(changed, y) - (1.0001 - rival).log().mean()
    apart = F.kl_div((q + 1e-12).log(), p, reduction="none").sum(dim=1)
    return boosted + BETA * (apart * (1.0000001 - p.gather(1, y[:, None]).squeeze(1))).mean()


def bat(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    net.eval()
    clean = net(x).detach()
    likeliest = clean.scatter(1, y[:, None], -torch.inf).argmax(dim=1)
    start = x + how.eps * (2 * torch.rand_like(x) - 1)
    adv = inner(net, start, x, how, lambda logits: -F.cross_entropy(logits, likeliest), live, how.eps)
    net.train()
    v = -(clean.softmax(dim=1) + 1e-8).log()
    true = F.one_hot(y, clean.shape[1]).bool()
    height = (v - v.masked_fill(true, torch.inf).amin(dim=1, keepdim=True) + 0.01).masked_fill(true, 0.0)
    ratio = height / height.sum(dim=1, keepdim=True)
    eps_y = 1 / (1 + 9 * ratio.amax(dim=1, keepdim=True))
    return F.cross_entropy(net(adv), torch.where(true, 1 - eps_y, eps_y * ratio))


def kurakin(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    half = len(x) // 2
    net.eval()
    rest = x[half:]
    least = net(rest).detach().argmin(dim=1)
    adv = inner(net, rest, rest, how, lambda logits: -F.cross_entropy(logits, least), live, how.eps)
    net.train()
    losses = F.cross_entropy(net(torch.cat([x[:half], adv])), y, reduction="none")
    return (losses[:half].sum() + 0.3 * losses[half:].sum()) / (half + 0.3 * len(rest))


def zheng(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    clean = net(x)
    return F.cross_entropy(clean, y) + F.cross_entropy(net(x + 0.1 * torch.randn_like(x)), clean.softmax(dim=1))


def ross(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    x = x.clone().requires_grad_()
    loss = F.cross_entropy(net(x), y)
    (slope,) = torch.autograd.grad(loss * len(x), x, create_graph=True)
    return loss + 0.1 * slope.square().sum() / len(x)


def gr(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    at = x.clone().requires_grad_()
    slope = slope_of(F.cross_entropy(net(at), y, reduction="sum"), at, live)
    unit = slope / slope.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
    clean, far = (F.cross_entropy(net(points), y, reduction="none") for points in (x, x + unit))
    return (clean + 0.5 * (far - clean).square()).mean()


def llr(net: nn.Module, x: Tensor, y: Tensor, how: Ball, live: bool) -> Tensor:
    def rest(points: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
        at = x.clone().requires_grad_()
        clean = F.cross_entropy(net(at), y, reduction="none")
        (slope,) = torch.autograd.grad(clean.sum(), at, create_graph=keep)
        along = ((points - x) * slope).flatten(1).sum(dim=1)
        clean = clean if keep else clean.detach()
        return F.cross_entropy(net(points), y, reduction="none") - clean - along, along, clean

    net.eval()
    adv = anywhere(x, how)
    for _ in range(2):
        adv = adv.detach().requires_grad_()
        adv = adv.detach() + how.step_size * slope_of(rest(adv, False)[0].abs().sum(), adv, live).sign()
        adv = torch.min(torch.max(adv, x - how.eps), x + how.eps).clamp(0, 1)
    net.train()
    apart, along, clean = rest(adv, True)
    return (clean + 4 * apart.abs() + 3 * along.abs()).mean()


PLAIN: dict[str, Callable[[nn.Module, Tensor, Tensor, Ball, bool], Tensor]] = {
    "natural": natural, "zheng": zheng, "ross": ross, "gr": gr, "free": free, "fast": fast, "kurakin": kurakin,
    "bat": bat, "llr": llr, "madry": madry, "rst": rst, "mart": mart, "trades": trades,
}  # fmt: skip
