"""Robust self-training on labelled data (Yang et al., 2020, https://arxiv.org/abs/2003.02460)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.inner import climb
from robeval.train.modes import Mode, in_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, NotNegative, Positive


@method("rst", paper="arXiv:2003.02460")
def rst(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    steps: Count = 10,
    step_size: Positive,
    weight: NotNegative = 1.0,
    attack_mode: Mode = "train",
) -> Tensor:
    """Cross-entropy on the images and, weighted, on adversarial ones: E [CE(f(x), y) + w max CE(f(x'), y)].

    The loss of Raghunathan et al. (2020, arXiv:2002.10716), of which Yang et al. use the part with labels, as
    released and as meant the same; w (their lambda: 0.5, 1, 2) is `weight`. The inner maximum is 10 steps of eps/5
    from a random point, clipped to the pixel box first, with the network in training mode (`attack_mode`). The
    adversarial images are passed first and the clean ones after, as batches of their own.

    Deviation: the mean over the batch where their code sums: multiply their learning rate by the batch size.
    """
    with in_mode(net, attack_mode):
        adv = climb(problem, problem.random_point(clip=True), cross_entropy, steps=steps, step_size=step_size)
    robust = cross_entropy(net(adv), problem.y).mean()
    return cross_entropy(net(problem.x), problem.y).mean() + weight * robust
