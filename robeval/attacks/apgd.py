"""Auto-PGD (Croce & Hein, 2020, https://arxiv.org/abs/2003.01690; l1: 2021, https://arxiv.org/abs/2103.01208)."""

from typing import Literal

from torch import Tensor

from robeval.attacks.registry import attack, fit_loss
from robeval.ops.auto_pgd import Parity, auto_pgd
from robeval.ops.losses import chosen
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, Share


@attack("apgd", norms=("linf", "l2", "l1"), paper="arXiv:2003.01690", fit=fit_loss)
def apgd(
    problem: Problem,
    *,
    steps: Count = 100,
    loss: Literal["ce", "dlr", "margin", "auto"] = "ce",
    rho: Share = 0.75,
    parity: Parity = "none",
) -> Tensor:
    """PGD with momentum that chooses its step size itself (2020, Algorithm 1; l1: 2021, Algorithm 1).

    The loop is `robeval.ops.auto_pgd`. AutoAttack runs it on cross-entropy, for l1 with 5 restarts. The step size,
    2 eps at first, is halved where the loss no longer rises, going on from the best point. The answer is the last
    misclassified point of the run, as in the authors' code, and where there is none the point of highest loss (there:
    the image). For l1 three rounds, in balls of 3, 2 and 1 eps, make 30, 30 and 40 % of the steps, and only the last
    one's points count.
    Cost: `steps` + 1 forwards and backwards, for l1 `steps` + 3.

    Parameters:
        steps: as in AutoAttack.
        loss: "dlr" is equation 6; "auto" the same or, with 2 classes, the margin. AutoAttack begins with "ce".
        rho: the step size is halved where a smaller share of the steps raised the loss; not used for l1. 0.75 from
            section 3.2.
        parity: "autoattack" rounds as the authors' code, in which pixels of an l1 point that are a last bit away from
            the image count as changed. linf and l2 follow that code in either case.
    """
    return auto_pgd(problem, chosen(loss, targeted=False), None, steps, rho, parity).answer
