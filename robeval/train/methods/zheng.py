"""Stability training (Zheng et al., 2016, https://arxiv.org/abs/1604.04326)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy
from robeval.ops.problem import Problem
from robeval.train.registry import method
from robeval.values.parameters import NotNegative


@method("zheng", paper="arXiv:1604.04326", norms=())
def zheng(
    problem: Problem,
    net: nn.Module,
    /,
    *,
    weight: NotNegative = 1.0,
    sigma: NotNegative = 0.1,
    detach_clean: bool = False,
) -> Tensor:
    """Cross-entropy plus that of noisy images to the clean prediction: E [CE(f(x), y) + w CE(f(x'), p(x))].

    x' = x + `sigma` N(0, I), not clipped, and w (the paper's alpha) is `weight`. Both
    predictions are the same network's and carry gradient, unless `detach_clean`. The settings that TRADES compares
    with in Table 5 are not published; the defaults are ours.
    """
    x = problem.x
    noisy = x + sigma * problem.noise.normal(x.shape[1:])
    clean = net(x)
    prediction = (clean.detach() if detach_clean else clean).softmax(dim=1)
    return (cross_entropy(clean, problem.y) + weight * cross_entropy(net(noisy), prediction)).mean()
