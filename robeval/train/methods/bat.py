"""Bilateral adversarial training (Wang & Zhang, 2019, https://arxiv.org/abs/1811.10716)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.ops.losses import cross_entropy, towards
from robeval.ops.problem import Problem
from robeval.ops.targets import choose, ranked, with_true
from robeval.train.inner import climb
from robeval.train.modes import eval_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, Positive, Share

Target = Literal["none", "most_confusing", "least_likely", "random", "mosa"]


@method("bat", paper="arXiv:1811.10716")
def bat(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    step_size: Positive,
    steps: Count = 1,
    target: Target = "most_confusing",
    random_start: bool = True,
    labels: Literal["true", "smooth", "adversarial"] = "adversarial",
    beta: Positive = 9.0,
    gamma: Positive = 0.01,
    eps_y: Share = 0.5,
) -> Tensor:
    """Cross-entropy of adversarial images and adversarial labels: E CE(f(x'), y').

    The defaults are R-MC-LA. One step of `step_size` (the paper's: eps) from a random point of the ball, not clipped
    to the pixel box before, climbs log p_t of one wrong class t of the clean image (section 3.2): the
    "most_confusing" (MC), the "least_likely" (LL), "random", or "mosa", that of smallest
    (z_y - z_t) / ||w_y - w_t||, w the rows of the last layer. "none" climbs CE(y): FGSM. `random_start = false`
    leaves out the "R-". The network is in evaluation mode for that, and in training mode for the loss.

    `labels`: "smooth" is LS, with 1 - `eps_y` on the class and the rest spread over the n - 1 others (not over all
    n); "adversarial" is LA, `adversarial_labels` of the clean image with `beta` (9; ImageNet: 100) and `gamma`.
    R-FGSM-LS is `target = "none", labels = "smooth"`; Madry-LA is `target = "none"` and 7 steps of 2/255 in 8/255;
    the ImageNet models took 2 steps of 8/255 in 16/255. In the paper pixels are in [-1, 1]: its numbers are twice ours.
    """
    x, y = problem.x, problem.y
    with eval_mode(net):
        clean = problem.logits(x)
        wanted = _wanted(problem, net, target, clean)
        start = problem.random_point() if random_start else x
        loss = cross_entropy if wanted is None else towards
        adv = climb(problem, start, loss, wanted, steps=steps, step_size=step_size)
    soft = y
    if labels == "smooth":
        soft = smooth_labels(y, clean.shape[1], eps_y).to(clean.dtype)
    elif labels == "adversarial":
        soft = adversarial_labels(clean, y, beta, gamma)
    return cross_entropy(net(adv), soft).mean()


def smooth_labels(y: Tensor, classes: int, eps_y: float) -> Tensor:
    """1 - eps_y on the class and eps_y / (classes - 1) on each other (the paper's LS), float32 (n, classes)."""
    true = F.one_hot(y, classes).bool()
    return torch.where(true, 1 - eps_y, eps_y / (classes - 1))


def adversarial_labels(logits: Tensor, y: Tensor, beta: float, gamma: float) -> Tensor:
    """Equations (14) and (18): the smoothed label that an adversary likes best, (n, k) like the clean logits.

    With v = -log(p + 1e-8) over the wrong classes, which MC is smallest of and LL largest, and their mean m, each
    gets eps_y / (k - 1) * (v - v_MC + gamma) / (m - v_MC + gamma), so the likeliest the least; eps_y is such that
    the true class, with 1 - eps_y, has `beta` times what the largest of them has.
    """
    others = logits.shape[1] - 1
    true = F.one_hot(y, others + 1).bool()
    v = -(logits.softmax(dim=1) + 1e-8).log()
    lowest = v.masked_fill(true, torch.inf).amin(dim=1, keepdim=True)  # MC
    height = (v - lowest + gamma).masked_fill(true, 0.0)  # over the lowest, 0 at the true class
    ratio = height / (height.sum(dim=1, keepdim=True) / others)
    eps_y = 1 / (1 + beta / others * ratio.amax(dim=1, keepdim=True))
    return torch.where(true, 1 - eps_y, eps_y / others * ratio)


def _wanted(problem: Problem, net: nn.Module, target: Target, clean: Tensor) -> Tensor | None:
    """True and wanted class of each row, int64 (n, 2); None for the target "none"."""
    if target == "none":
        return None
    wanted = _mosa(net, clean, problem.y) if target == "mosa" else choose(problem, target, clean)
    return with_true(problem.y, wanted)


def _mosa(net: nn.Module, clean: Tensor, y: Tensor) -> Tensor:
    """The wrong class whose boundary is nearest in the last layer's features, int64 (n,).

    Classes that lead, or are within 1e-4, are left out; where that leaves none, the most confusing is taken.
    """
    linear = [each for each in net.modules() if isinstance(each, nn.Linear)]
    if not linear or linear[-1].out_features != clean.shape[1]:
        found = "target 'mosa' compares the rows of a last linear layer, but the network ends in something else"
        raise UserError(found, where="[training]", fix='Take target = "most_confusing".')
    weight = linear[-1].weight.detach()  # (k, features)
    lead = clean.gather(1, y[:, None]) - clean  # (n, k)
    apart = (weight[y][:, None] - weight[None]).norm(dim=2).clamp_min(1e-12)
    distance = torch.where(lead > 1e-4, lead / apart, torch.inf)
    none = distance.isinf().all(dim=1)
    return torch.where(none, ranked(clean, y)[:, 0], distance.argmin(dim=1))
