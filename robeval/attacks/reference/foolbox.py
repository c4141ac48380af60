"""Foolbox (Rauber et al., 2020, https://doi.org/10.21105/joss.02607)."""

from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from robeval.attacks.reference.adapter import Subject, in_ball, minimised
from robeval.attacks.registry import at_its_start, attack, never
from robeval.ops.geometry import per_row
from robeval.ops.problem import Problem
from robeval.values.parameters import Bound, Count, Distance, NotNegative, Positive, Rate, Share, Weight

NORMS = {"linf": "Linf", "l2": "L2"}


@attack(
    "foolbox.fgsm",
    norms=("linf", "l2"),
    paper="arXiv:1412.6572",
    draws=at_its_start,
    library="foolbox",
    settings=({"random_start": False},),
)
def fgsm(
    problem: Problem,
    *,
    loss: Literal["ce"] = "ce",
    target: Literal["none"] = "none",
    random_start: bool = False,
) -> Tensor:
    """`FastGradientAttack`, whose random start is inside the pixel box.

    Cost: 1 forward, 1 backward.

    Parameters:
        loss: it climbs the cross-entropy, the paper's.
        target: ours can have one; here any wrong class will do.
    """
    from foolbox import attacks

    kind = getattr(attacks, f"{NORMS[problem.threat.norm]}FastGradientAttack")
    return in_ball(problem, _stepping(problem, kind(random_start=random_start)))


@attack(
    "foolbox.pgd",
    norms=("linf", "l2"),
    paper="arXiv:1706.06083",
    draws=at_its_start,
    library="foolbox",
    settings=({"random_start": False}, {"clip_start": True}),
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
    """`ProjectedGradientDescentAttack`, whose random start is inside the box.

    Cost: `steps` forwards and backwards.

    Parameters:
        loss: it climbs the cross-entropy, the paper's.
        target: ours can have one; here any wrong class will do.
        random_start: begin at a random point of the ball and the pixel box.
    """
    from foolbox import attacks

    kind = getattr(attacks, f"{NORMS[problem.threat.norm]}ProjectedGradientDescentAttack")
    return in_ball(problem, _stepping(problem, kind(abs_stepsize=step_size, steps=steps, random_start=random_start)))


@attack(
    "foolbox.mifgsm",
    norms=("linf", "l2"),
    paper="arXiv:1710.06081",
    draws=never,
    library="foolbox",
    differs="its momentum is a sum of steps (signs or unit vectors), that of the paper one of l1-normalised gradients",
)
def mifgsm(
    problem: Problem,
    *,
    steps: Count = 10,
    decay: NotNegative = 1.0,
    step_size: Distance | None = None,
    loss: Literal["ce"] = "ce",
) -> Tensor:
    """`MomentumIterativeFastGradientMethod`, steps of eps / steps.

    Cost: `steps` forwards and backwards.

    Parameters:
        loss: it climbs the cross-entropy, the paper's.
    """
    from foolbox import attacks

    length = problem.threat.eps / steps if step_size is None else step_size
    kind = getattr(attacks, f"{NORMS[problem.threat.norm]}MomentumIterativeFastGradientMethod")
    return in_ball(problem, _stepping(problem, kind(abs_stepsize=length, steps=steps, momentum=decay)))


@attack(
    "foolbox.deepfool",
    norms=("linf", "l2"),
    paper="arXiv:1511.04599",
    minimal=True,
    draws=never,
    library="foolbox",
    settings=({"overshoot_at": "end"},),
    differs="1e-4 is added to the length of every step",
)
def deepfool(
    problem: Problem, *, steps: Count = 50, candidates: Annotated[int, Bound(2)] = 10, overshoot: Share = 0.02
) -> Tensor:
    """`DeepFoolAttack`. Cost: at most `steps` times a forward and a backward for each candidate but the true class."""
    from foolbox import attacks

    kind = getattr(attacks, f"{NORMS[problem.threat.norm]}DeepFoolAttack")
    return minimised(problem, _minimising(kind(steps=steps, candidates=candidates, overshoot=overshoot)))


@attack(
    "foolbox.carlini_wagner",
    norms=("l2",),
    paper="arXiv:1608.04644",
    minimal=True,
    draws=never,
    library="foolbox",
    settings=({"kappa": 0.0},),
    differs="a whole microbatch is aborted at once",
)
def carlini_wagner(
    problem: Problem,
    *,
    steps: Count = 1000,
    step_size: Rate = 0.005,
    searches: Count | None = None,
    initial_c: Weight | None = None,
    kappa: NotNegative = 0.0,
    abort_early: bool = True,
) -> Tensor:
    """`L2CarliniWagnerAttack`, with 5 constants from 0.01 unless given.

    Cost: at most `steps` forwards and backwards for each constant.

    Parameters:
        searches: values of c, at most. 5 unless given (the paper's code: 9).
        initial_c: the first c, in units of distance per logit. 0.01 unless given (the paper's code: 0.001).
        kappa: by how much another logit has to lead before f is 0 and the image counts as broken for the search, in
            logits; 0 as in the paper.
        abort_early: end the run of a microbatch when its summed loss, looked at ten times a run, has not fallen below
            0.9999 of what it was.
    """
    from foolbox import attacks

    attack = attacks.L2CarliniWagnerAttack(
        binary_search_steps=searches or 5,
        steps=steps,
        stepsize=step_size,
        confidence=kappa,
        initial_const=initial_c or 0.01,
        abort_early=abort_early,
    )
    search = _minimising(attack)

    def work(model: Subject, x: Tensor, y: Tensor) -> Tensor:
        found = search(model, x, y)
        nothing = (found == 0).flatten(1).all(dim=1)  # a black image stands for no success
        return torch.where(per_row(nothing), x, found)

    return minimised(problem, work)


@attack(
    "foolbox.hop_skip_jump",
    norms=("linf", "l2"),
    paper="arXiv:1904.02144",
    minimal=True,
    gradients=False,
    library="foolbox",
    differs="its random directions and jumps have norm 1 over all images of a microbatch, so each is shorter "
    "the more there are",
)
def hop_skip_jump(
    problem: Problem,
    *,
    steps: Count = 40,
    initial_samples: Count = 100,
    max_samples: Count = 10_000,
    gamma: Positive = 1.0,
    tries: Count = 100,
) -> Tensor:
    """`HopSkipJumpAttack` from images blended with noise; images that no noise breaks are left as they are.

    Cost: for each step `initial_samples` times the square root of its number forwards, and some more.
    """
    from foolbox import Misclassification, attacks

    begin = attacks.LinearSearchBlendedUniformNoiseAttack(directions=tries, steps=50)
    go_on = attacks.HopSkipJumpAttack(
        steps=steps,
        initial_gradient_eval_steps=initial_samples,
        max_gradient_eval_steps=max_samples,
        gamma=gamma,
        constraint=problem.threat.norm,
    )

    def work(model: Subject, x: Tensor, y: Tensor) -> Tensor:
        start = begin.run(_network(model), x, Misclassification(y))
        adv, known = x.clone(), model(start).argmax(dim=1) != y
        if known.any():
            goal = Misclassification(y[known])
            adv[known] = go_on.run(_network(model), x[known], goal, starting_points=start[known])
        return adv

    return minimised(problem, work)


def _network(model: Subject) -> Any:
    from foolbox import PyTorchModel

    problem = model.problem
    return PyTorchModel(model, bounds=problem.threat.box, device=problem.x.device)


def _stepping(problem: Problem, attack: Any) -> Any:
    """What one attack of a fixed radius does to a microbatch."""
    from foolbox import Misclassification

    eps = problem.threat.eps
    return lambda model, x, y: attack.run(_network(model), x, Misclassification(y), epsilon=eps)


def _minimising(attack: Any) -> Any:
    """What one attack without a radius does to a microbatch."""
    from foolbox import Misclassification

    return lambda model, x, y: attack.run(_network(model), x, Misclassification(y))
