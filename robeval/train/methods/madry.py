"""PGD adversarial training (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.inner import climb, partly
from robeval.train.modes import Mode, in_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, Positive, Share


@method("madry", paper="arXiv:1706.06083")
def madry(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    steps: Count,
    step_size: Positive,
    random_start: bool = True,
    attack_mode: Mode = "train",
    clean_share: Share = 0.0,
) -> Tensor:
    """Cross-entropy on adversarial images only: equation (2.1), min over weights of E max CE(f(x'), y).

    The inner maximum is approached by `steps` steps of PGD (section 2.1) from a random point of the ball, which
    the released code clips to the pixel box first. Its settings: 7 steps of 2/255 in 8/255 on CIFAR-10, 40 steps
    of 0.01 in 0.3 on MNIST. As released, the attack sees the network in training mode (`attack_mode`), so
    dropout is on, BatchNorm uses the batch and its averages move with every step; the authors report little
    difference with "eval". `clean_share = 0.5` is half-half training (Tsipras et al., 2019, Table 4): the first
    half of each batch as it is, the second attacked as a batch of its own, and the mean over both. Yang et al.'s AT
    is 10 steps of eps/5.

    Deviations: the mean over the batch also where others (Madry on MNIST, Yang) sum, which only scales the learning
    rate. Tsipras et al. do not say which half is attacked, and their library starts on the l2 sphere, not anywhere in
    the ball.
    """

    def attack(some: Problem) -> Tensor:
        start = some.random_point(clip=True) if random_start else some.x
        return climb(some, start, cross_entropy, steps=steps, step_size=step_size)

    with in_mode(net, attack_mode):
        adv, _ = partly(problem, clean_share, attack)
    return cross_entropy(net(adv), problem.y).mean()
