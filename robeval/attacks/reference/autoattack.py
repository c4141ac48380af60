"""AutoAttack by its authors (Croce & Hein, 2020, https://arxiv.org/abs/2003.01690), as the package `pyautoattack`."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from robeval.attacks.reference.adapter import Subject, in_ball, minimised
from robeval.attacks.registry import attack, fit_loss
from robeval.errors import UserError
from robeval.ops.losses import too_few_classes
from robeval.ops.problem import Problem
from robeval.ops.targets import how_many
from robeval.values.parameters import Bound, Count, PositiveShare, Share

NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
ORDERS = {"linf": torch.inf, "l2": 2, "l1": 1}
TARGETS = 9
# Only for l1 has our Auto-PGD another way of its own.
APGD_SETTINGS = ({"norm": "linf"}, {"norm": "l2"}, {"norm": "l1", "parity": "autoattack"})


def fit_targets(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """`targets` filled in.

    Raises:
        UserError: there are fewer wrong classes.
    """
    return {**params, "targets": how_many(params["targets"], TARGETS, classes)}


def fit_targeted_loss(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """`targets` filled in.

    Raises:
        UserError: there are too few classes.
    """
    if wrong := too_few_classes(params["loss"], True, classes):
        raise UserError(wrong, fix="Leave out this attack.")
    return fit_targets(params, classes)


def fit_standard(params: Mapping[str, Any], classes: int) -> Mapping[str, Any]:
    """Nothing to fill in.

    Raises:
        UserError: there are too few classes for its targeted loss.
    """
    if wrong := too_few_classes("dlr", True, classes):
        raise UserError(wrong, fix="Leave it out: ours (`[[autoattack]]`) takes another loss there.")
    return params


@attack(
    "autoattack.apgd",
    norms=("linf", "l2", "l1"),
    paper="arXiv:2003.01690",
    fit=fit_loss,
    library="autoattack",
    settings=APGD_SETTINGS,
)
def apgd(problem: Problem, *, steps: Count = 100, loss: Literal["ce", "dlr"] = "ce", rho: Share = 0.75) -> Tensor:
    """`APGDAttack`, one start; for l1 with larger radii first.

    Cost: `steps` + 1 backwards, `steps` + 2 forwards.

    Parameters:
        loss: "dlr" is equation 6. AutoAttack begins with "ce".
    """
    from pyautoattack.autopgd_base import APGDAttack

    wide = problem.threat.norm == "l1"
    given = _given(problem, n_iter=steps, loss=loss, rho=rho, use_largereps=wide)
    return in_ball(problem, lambda model, x, y: APGDAttack(model, **given, seed=torch.initial_seed()).perturb(x, y))


@attack(
    "autoattack.apgd_targeted",
    norms=("linf", "l2", "l1"),
    paper="arXiv:2003.01690",
    fit=fit_targeted_loss,
    library="autoattack",
    settings=APGD_SETTINGS,
)
def apgd_targeted(
    problem: Problem,
    *,
    steps: Count = 100,
    targets: Count | None = None,
    loss: Literal["dlr"] = "dlr",
    rho: Share = 0.75,
) -> Tensor:
    """`APGDAttack_targeted`, one start each.

    Cost: `targets` times `steps` + 1 backwards, `steps` + 2 forwards.

    Parameters:
        loss: the targeted DLR is all that it has.
    """
    from pyautoattack.autopgd_base import APGDAttack_targeted

    wide = problem.threat.norm == "l1"
    given = _given(problem, n_iter=steps, n_target_classes=targets or TARGETS, rho=rho, use_largereps=wide)

    def work(model: Subject, x: Tensor, y: Tensor) -> Tensor:
        return APGDAttack_targeted(model, **given, seed=torch.initial_seed()).perturb(x, y)

    return in_ball(problem, work)


@attack(
    "autoattack.fab",
    norms=("linf", "l2", "l1"),
    paper="arXiv:1907.02044",
    minimal=True,
    library="autoattack",
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
    """`FABAttack_PT`, in later restarts from a random point.

    Cost: `steps` times 2 forwards and a backward for each class.
    """
    from pyautoattack.fab_pt import FABAttack_PT

    given = _given(problem, eps=_radius(problem), n_iter=steps, alpha_max=alpha_max, eta=eta, beta=beta)
    again = problem.noise.restart > 0
    return minimised(problem, lambda model, x, y: FABAttack_PT(model, **given).attack_single_run(x, y, again))


@attack(
    "autoattack.fab_targeted",
    norms=("linf", "l2", "l1"),
    paper="arXiv:1907.02044",
    minimal=True,
    fit=fit_targets,
    library="autoattack",
    settings=({"parity": "autoattack"},),
)
def fab_targeted(
    problem: Problem,
    *,
    steps: Count = 100,
    targets: Count | None = None,
    alpha_max: Share = 0.1,
    eta: Annotated[float, Bound(1)] = 1.05,
    beta: Share = 0.9,
) -> Tensor:
    """`FABAttack_PT` towards each of the likeliest wrong classes; the nearest of the images found.

    One run for each class, in later restarts from a random point, until the sample is broken within eps, as in
    AutoAttack. What it finds beyond eps counts here too.
    Cost: at most `targets` times `steps` times 2 forwards and 1 backward.
    """
    from pyautoattack.fab_pt import FABAttack_PT

    given = _given(problem, eps=_radius(problem), n_iter=steps, alpha_max=alpha_max, eta=eta, beta=beta)
    again = problem.noise.restart > 0

    def work(model: Subject, x: Tensor, y: Tensor) -> Tensor:
        attack = FABAttack_PT(model, **given, targeted=True)
        best, least = x.clone(), x.new_full((len(x),), torch.inf)
        for place in range(2, (targets or TARGETS) + 2):  # counted from the likeliest class, which is the true one
            left = (least > problem.threat.eps).nonzero().squeeze(1)
            if not len(left):
                break
            attack.target_class = place
            found = attack.attack_single_run(x[left], y[left], again, is_targeted=True)
            length = torch.linalg.vector_norm((found - x[left]).flatten(1), ORDERS[problem.threat.norm], dim=1)
            closer = (length > 0) & (length < least[left])
            best[left[closer]], least[left[closer]] = found[closer], length[closer]
        return best

    return minimised(problem, work)


@attack(
    "autoattack.square",
    norms=("linf", "l2", "l1"),
    paper="arXiv:1912.00049",
    gradients=False,
    library="autoattack",
    settings=({"parity": "autoattack"},),
    differs="all images of a microbatch share the place and colour of their squares",
)
def square(problem: Problem, *, queries: Count = 5000, p_init: PositiveShare = 0.8, rescale: bool = False) -> Tensor:
    """`SquareAttack`. Cost: at most `queries` + 3 forwards."""
    from pyautoattack.square import SquareAttack

    given = _given(problem, n_queries=queries, p_init=p_init, resc_schedule=rescale)
    return in_ball(problem, lambda model, x, y: SquareAttack(model, **given, seed=torch.initial_seed()).perturb(x, y))


@attack(
    "autoattack.standard",
    norms=("linf", "l2", "l1"),
    paper="arXiv:2003.01690",
    fit=fit_standard,
    library="autoattack",
    differs="its squares are shared by all images of a microbatch",
)
def standard(problem: Problem) -> Tensor:
    """`AutoAttack(version="standard")`: APGD, targeted APGD, targeted FAB and Square on what is left.

    With fewer than 10 classes there are fewer targets, with 2 or 3 it is refused.
    Cost: up to 22,000 passes for a sample that stands.
    """
    from pyautoattack import AutoAttack

    def work(model: Subject, x: Tensor, y: Tensor) -> Tensor:
        whole = AutoAttack(model, **_given(problem), seed=torch.initial_seed())
        others = model(x[:1]).shape[1] - 1
        for part in (whole.apgd_targeted, whole.fab):
            part.n_target_classes = min(part.n_target_classes, others)
        return whole.run_standard_evaluation(x, y, batch_size=len(x))[0]

    return in_ball(problem, work)


def _radius(problem: Problem) -> float | None:
    """That of random starts; without a ball FAB takes one of its own."""
    return problem.threat.eps if math.isfinite(problem.threat.eps) else None


def _given(problem: Problem, **own: Any) -> dict[str, Any]:
    return {"norm": NORMS[problem.threat.norm], "eps": problem.threat.eps, "device": problem.x.device} | own
