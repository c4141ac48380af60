"""MART, misclassification-aware training (Wang et al., 2020, https://openreview.net/forum?id=rklOg6EFwS)."""

from torch import Tensor, nn

from robeval.ops.losses import cross_entropy, kl_from
from robeval.ops.problem import Problem
from robeval.train.inner import beside, climb
from robeval.train.modes import eval_mode
from robeval.train.registry import method
from robeval.values.parameters import Count, NotNegative, Positive


@method("mart", paper="https://openreview.net/forum?id=rklOg6EFwS")
def mart(problem: Problem, net: nn.Module, /, *, steps: Count, step_size: Positive, beta: NotNegative = 6.0) -> Tensor:
    """Boosted cross-entropy plus divergence, weighted by the doubt: E [BCE(x') + beta KL(p(x) || p(x')) (1 - p_y(x))].

    `beta` is the paper's lambda (5 in its text, 6 in the released code), and
    BCE = -log p_y(x') - log(1 - max_{k != y} p_k(x')). x' climbs the cross-entropy from
    x + 0.001 N(0, I) with the network in evaluation mode; released settings: 10 steps of 0.007 in 0.031. All terms
    carry gradient, the weight 1 - p_y too. As in the released code, 1.0001 and 1.0000001 stand for the two ones,
    so that no logarithm is of 0.

    Deviation: divergences are of log-softmax, without the 1e-12 of the released code.
    """
    x, y = problem.x, problem.y
    with eval_mode(net):
        adv = climb(problem, beside(problem), cross_entropy, steps=steps, step_size=step_size)
    clean, changed = net(x), net(adv)
    rival = changed.softmax(dim=1).scatter(1, y[:, None], 0.0).amax(dim=1)  # max_{k != y} p_k(x')
    boosted = cross_entropy(changed, y) - (1.0001 - rival).log()
    doubt = 1.0000001 - clean.softmax(dim=1).gather(1, y[:, None]).squeeze(1)
    return (boosted + beta * kl_from(changed, clean) * doubt).mean()
