"""Torchattacks (Kim, 2020, https://arxiv.org/abs/2010.01950)."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from robeval.attacks.reference.adapter import Subject, in_ball, minimised
from robeval.attacks.registry import at_its_start, attack, fit_loss, never
from robeval.errors import UserError
from robeval.ops.losses import too_few_classes
from robeval.ops.problem import Problem
from robeval.ops.targets import how_many
from robeval.values.parameters import Bound, Change, Count, Distance, NotNegative, PositiveShare, Rate, Share

NORMS = {"linf": "Linf", "l2": "L2"}
TARGETS = 9
# For l-inf and l2 our Auto-PGD is the same whatever it is told.
EITHER = ({"parity": "none"}, {"parity": "autoattack"})


def fit_targets(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """`targets` filled in.

    Raises:
        UserError: there are too few classes.
    """
    if amiss := too_few_classes(params["loss"], True, classes):
        raise UserError(amiss, fix="Leave out this attack.")
    return {**params, "targets": how_many(params["targets"], TARGETS, classes)}


@attack("torchattacks.fgsm", norms=("linf",), paper="arXiv:1412.6572", library="torchattacks", draws=never)
def fgsm(problem: Problem, *, loss: Literal["ce"] = "ce", target: Literal["none"] = "none") -> Tensor:
    """`FGSM`.

    Cost: 1 forward, 1 backward.

    Parameters:
        loss: it climbs the cross-entropy, the paper's.
        target: ours can have one; here any wrong class will do.
    """
    import torchattacks

    eps = problem.threat.eps
    return in_ball(problem, lambda model, x, y: torchattacks.FGSM(model, eps=eps)(x, y))


@attack(
    "torchattacks.pgd",
    norms=("linf", "l2"),
    paper="arXiv:1706.06083",
    draws=at_its_start,
    library="torchattacks",
    settings=({"random_start": False}, {"clip_start": True, "norm": "linf"}),
)
def pgd(
    problem: Problem,
    *,
    steps: Count,
    step_size: Distance,
    loss: Literal["ce"] = "ce",
    target: Literal["none"] = "none",
    random_start: bool = True,
) -> Tensor:
    """`PGD` and `PGDL2`, whose random start is inside the pixel box, and for l2 nearer to the image than uniform.

    Cost: `steps` forwards and backwards.

    Parameters:
        loss: it climbs the cross-entropy, the paper's.
        target: ours can have one; here any wrong class will do.
        random_start: begin at a random point of the ball and the pixel box.
    """
    import torchattacks

    kind = torchattacks.PGD if problem.threat.norm == "linf" else torchattacks.PGDL2
    given = {"eps": problem.threat.eps, "alpha": step_size, "steps": steps, "random_start": random_start}
    return in_ball(problem, lambda model, x, y: kind(model, **given)(x, y))


@attack(
    "torchattacks.mifgsm",
    norms=("linf",),
    paper="arXiv:1710.06081",
    draws=never,
    library="torchattacks",
    differs="a gradient of zero makes its momentum NaN, and the image stays where it is",
)
def mifgsm(
    problem: Problem,
    *,
    steps: Count = 10,
    decay: NotNegative = 1.0,
    step_size: Distance | None = None,
    loss: Literal["ce"] = "ce",
) -> Tensor:
    """`MIFGSM`, with the step eps / steps unless given.

    Cost: `steps` forwards and backwards.

    Parameters:
        loss: it climbs the cross-entropy, the paper's.
    """
    import torchattacks

    eps = problem.threat.eps
    given = {"eps": eps, "alpha": eps / steps if step_size is None else step_size, "steps": steps, "decay": decay}
    return in_ball(problem, lambda model, x, y: torchattacks.MIFGSM(model, **given)(x, y))


@attack(
    "torchattacks.apgd",
    norms=("linf", "l2"),
    paper="arXiv:2003.01690",
    fit=fit_loss,
    library="torchattacks",
    settings=EITHER,
)
def apgd(problem: Problem, *, steps: Count = 100, loss: Literal["ce", "dlr"] = "ce", rho: Share = 0.75) -> Tensor:
    """`APGD`, a copy of the authors' code.

    Cost: `steps` + 1 backwards and `steps` + 2 forwards.

    Parameters:
        loss: "dlr" is equation 6. AutoAttack begins with "ce".
    """
    import torchattacks

    given = {**_given(problem), "steps": steps, "loss": loss, "rho": rho}
    return in_ball(problem, lambda model, x, y: torchattacks.APGD(model, **given, seed=torch.initial_seed())(x, y))


@attack(
    "torchattacks.apgd_targeted",
    norms=("linf", "l2"),
    paper="arXiv:2003.01690",
    fit=fit_targets,
    library="torchattacks",
    settings=EITHER,
)
def apgd_targeted(
    problem: Problem,
    *,
    steps: Count = 100,
    targets: Count | None = None,
    loss: Literal["dlr"] = "dlr",
    rho: Share = 0.75,
) -> Tensor:
    """`APGDT`.

    Cost: at most `targets` times `steps` + 1 backwards and `steps` + 2 forwards.

    Parameters:
        loss: the targeted DLR is all that it has.
    """
    import torchattacks

    given = {**_given(problem), "steps": steps, "n_classes": (targets or TARGETS) + 1, "rho": rho}
    return in_ball(problem, lambda model, x, y: torchattacks.APGDT(model, **given, seed=torch.initial_seed())(x, y))


@attack(
    "torchattacks.square",
    norms=("linf", "l2"),
    paper="arXiv:1912.00049",
    gradients=False,
    library="torchattacks",
    settings=({"parity": "autoattack"},),
    differs="all images of a microbatch share the place and colour of their squares",
)
def square(problem: Problem, *, queries: Count = 5000, p_init: PositiveShare = 0.8, rescale: bool = False) -> Tensor:
    """`Square`, a copy of the authors' code. Cost: at most `queries` + 3 forwards."""
    import torchattacks

    given = {**_given(problem), "n_queries": queries, "p_init": p_init, "resc_schedule": rescale}
    return in_ball(problem, lambda model, x, y: torchattacks.Square(model, **given, seed=torch.initial_seed())(x, y))


@attack(
    "torchattacks.spsa",
    norms=("linf",),
    paper="arXiv:1802.05666",
    gradients=False,
    library="torchattacks",
    differs="all images of a microbatch share their random directions",
)
def spsa(
    problem: Problem,
    *,
    steps: Count = 100,
    step_size: Change = 0.01,
    samples: Count = 64,
    delta: Change = 0.01,
) -> Tensor:
    """`SPSA`. Cost: `steps` times 2 * `samples` forwards."""
    import torchattacks

    given = {"eps": problem.threat.eps, "lr": step_size, "nb_iter": steps, "nb_sample": samples, "delta": delta}
    given |= {"max_batch_size": min(samples, 64)}
    return in_ball(problem, lambda model, x, y: torchattacks.SPSA(model, **given)(x, y))


@attack(
    "torchattacks.carlini_wagner",
    norms=("l2",),
    paper="arXiv:1608.04644",
    minimal=True,
    draws=never,
    library="torchattacks",
    settings=({"searches": 1, "initial_c": 1.0, "abort_early": True},),
    differs="the strongest other logit is at least 0, pixels that are 0 or 1 never move, and a whole microbatch is "
    "aborted at once",
)
def carlini_wagner(
    problem: Problem, *, steps: Count = 1000, step_size: Rate = 0.005, kappa: NotNegative = 0.0
) -> Tensor:
    """`CW`, which has one constant c = 1 instead of a search. Cost: at most `steps` forwards and backwards."""
    import torchattacks

    given = {"kappa": kappa, "steps": steps, "lr": step_size}
    return minimised(problem, lambda model, x, y: torchattacks.CW(model, **given)(x, y))


@attack(
    "torchattacks.deepfool",
    norms=("l2",),
    paper="arXiv:1511.04599",
    minimal=True,
    draws=never,
    library="torchattacks",
    settings=({"overshoot_at": "each_step"},),
    differs="every wrong class is a candidate",
)
def deepfool(problem: Problem, *, steps: Count = 50, overshoot: Share = 0.02) -> Tensor:
    """`DeepFool`, one image at a time. Cost: at most `steps` forwards, and as many backwards for each class."""
    import torchattacks

    return minimised(problem, lambda model, x, y: torchattacks.DeepFool(model, steps, overshoot)(x, y))


@attack(
    "torchattacks.fab",
    norms=("linf", "l2"),
    paper="arXiv:1907.02044",
    minimal=True,
    library="torchattacks",
    settings=({"parity": "autoattack"},),
)
def fab(
    problem: Problem,
    *,
    steps: Count = 100,
    alpha_max: Share = 0.1,
    eta: Annotated[float, Bound(1)] = 1.05,
    beta: Share = 0.9,
) -> Tensor:
    """`FAB`, a copy of the authors' code: from the image, in later restarts from a random point.

    Cost: `steps` times 2 forwards and a backward for each class.
    """
    import torchattacks

    # Without a ball it takes a radius of its own for random starts.
    eps = problem.threat.eps if math.isfinite(problem.threat.eps) else None
    given = {"norm": NORMS[problem.threat.norm], "eps": eps, "steps": steps}
    given |= {"alpha_max": alpha_max, "eta": eta, "beta": beta}
    again = problem.noise.restart > 0

    def work(model: Subject, x: Tensor, y: Tensor) -> Tensor:
        return torchattacks.FAB(model, **given).attack_single_run(x, y, use_rand_start=again)

    return minimised(problem, work)


def _given(problem: Problem) -> dict[str, Any]:
    return {"norm": NORMS[problem.threat.norm], "eps": problem.threat.eps}
