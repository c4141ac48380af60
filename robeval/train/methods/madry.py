"""PGD adversarial training (Madry et al., 2018, https://arxiv.org/abs/1706.06083)."""

from contextlib import nullcontext
from typing import Literal

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.modes import eval_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, Positive


@method("madry", paper="arXiv:1706.06083")
def madry(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    steps: Count,
    step_size: Positive,
    random_start: bool = True,
    attack_mode: Literal["train", "eval"] = "train",
) -> Tensor:
    """Cross-entropy on adversarial images only: equation (2.1), min over weights of E max CE(f(x'), y).

    The inner maximum is approached by `steps` steps of PGD (section 2.1) from a random point of the ball, which
    the released code clips to the pixel box first. Its settings: 7 steps of 2/255 in 8/255 on CIFAR-10, 40 steps
    of 0.01 in 0.3 on MNIST. As released, the attack sees the network in training mode (`attack_mode`), so
    dropout is on, BatchNorm uses the batch and its averages move with every step; the authors report little
    difference with "eval".

    Deviation: the mean over the batch also where their MNIST code sums, which only scales the learning rate.
    """
    with eval_mode(net) if attack_mode == "eval" else nullcontext():
        adv = problem.random_point(clip=True) if random_start else problem.x
        for _ in problem.steps(steps):
            slope = problem.gradient(adv, cross_entropy)  # (n, c, h, w)
            adv = problem.project(adv + step_size * problem.steepest(slope))
    return cross_entropy(net(adv), problem.y).mean()
