"""Adversarial training at scale (Kurakin et al., 2017, https://arxiv.org/abs/1611.01236)."""

from typing import Literal

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy, towards
from robeval.ops.problem import Problem
from robeval.ops.targets import aim
from robeval.train.inner import climb, partly
from robeval.train.modes import eval_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, NotNegative, Positive, Share


@method("kurakin", paper="arXiv:1611.01236")
def kurakin(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    step_size: Positive,
    steps: Count = 1,
    target: Literal["none", "least_likely", "random"] = "least_likely",
    random_start: bool = False,
    clean_share: Share = 0.5,
    weight: NotNegative = 0.3,
) -> Tensor:
    """Clean and adversarial images in one batch: (sum CE(clean) + w sum CE(adv)) / (m + w k), Algorithm 1.

    m images are as they are and the k others attacked; w is `weight`. The paper takes one step towards the least
    likely class ("step l.l.") for half of each batch. With `target = "none"` and more steps it is what TRADES
    compares with in Table 5, whose settings are not published (ours: 10 steps of 0.007 in 0.031, `weight = 1`).

    Deviations: the paper draws each image's eps from a normal distribution cut at the largest, and does not say in
    which mode the attack sees the network; here eps is fixed and the mode evaluation.
    """

    def attack(some: Problem) -> Tensor:
        wanted = aim(some, target)
        start = some.random_point(clip=True) if random_start else some.x
        loss = cross_entropy if wanted is None else towards
        return climb(some, start, loss, wanted, steps=steps, step_size=step_size)

    with eval_mode(net):
        batch, clean = partly(problem, clean_share, attack)
    losses = cross_entropy(net(batch), problem.y)  # (n,)
    count = clean + weight * (len(losses) - clean)
    return (losses[:clean].sum() + weight * losses[clean:].sum()) / max(count, 1e-12)
