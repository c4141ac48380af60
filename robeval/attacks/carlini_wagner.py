"""The attacks of Carlini & Wagner (2017, https://arxiv.org/abs/1608.04644)."""

import math
from functools import partial

import torch
from torch import Tensor

from robeval.attacks.registry import attack, never
from robeval.ops.adam import Adam
from robeval.ops.geometry import ROWS, per_row
from robeval.ops.losses import hinged_margin
from robeval.ops.microbatch import by_row
from robeval.ops.nearest import Nearest
from robeval.ops.problem import Problem
from robeval.values.parameters import Count, NotNegative, Rate, Weight

ADAM_EPS = 1e-7
LEAST_TAU = 1 / 256  # of the range of a pixel: less cannot be seen in 8 bits
SHRINK = 0.9


@attack("carlini_wagner", norms=("l2", "linf"), paper="arXiv:1608.04644", minimal=True, draws=never)
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
    """Minimise distance + c * f with Adam in tanh space, f = max(z_y - max_{j != y} z_j + kappa, 0) (section VI).

    f is f_6 of section V.A with any wrong class for the wanted one, and the kappa of VI.A; tanh space is the change of
    variables of V.B.
    l2 (VI.A): c grows by 10 until one succeeds, then is bisected, each with a fresh Adam from the image. l-inf (VI.C):
    the distance is sum_i max(|x'_i - x_i| - tau, 0); each success shrinks tau to 0.9 of it or of the largest change,
    down to 1/256 of the pixel range, each failure doubles c, and every run goes on from the last success. What counts
    is the nearest image of another class. Defaults for l2 are those of the library of the TRADES experiments, for l-inf
    of the paper's code.
    Measured with steps = 200, step_size = 0.02, searches = 7 for l2 and steps = 100, step_size = 0.03,
    initial_c = 0.001, searches = 12 for l-inf: never nearer than the exact least distance, and at most 3 times as far
    on a linear model, 8 times on a network of 5 hidden units, plus 0.005.
    Cost: at most `steps` * `searches` forwards and backwards and a forward; l-inf: `steps` * (`searches` + 53).

    Parameters:
        steps: of Adam for each c; the paper's code takes 10,000.
        step_size: Adam's rate in tanh space, without unit; the paper's code takes 0.01.
        searches: values of c, at most. 5 unless given (the paper's code: 9); l-inf: 21, which is up to c = 20.
        initial_c: the first c, in units of distance per logit. 0.01 unless given (the paper's code: 0.001);
            l-inf: 1e-5.
        kappa: by how much another logit has to lead before f is 0, in logits; shapes the loss only. 0 as in the paper.
        abort_early: end the run of a row when its loss, looked at ten times a run, has not fallen below 0.9999 of what
            it was; on in both codes.
    """
    nearest, start = Nearest(problem), _tanh_space(problem, problem.x)
    rule = (_Bisection if problem.threat.norm == "l2" else _Shrinking)(problem, start, searches, initial_c)
    problem.retire(nearest.see(problem.x, problem.logits(problem.x)).nonzero().squeeze(1))
    w, adam = start, Adam(start, step_size, ADAM_EPS)
    age, before = torch.zeros_like(problem.y), torch.full_like(nearest.distances, math.inf)
    for _ in problem.steps(steps * rule.most_runs):
        adv, outward = _image(problem, w)
        logits, climbed, slope = problem.ask(adv, partial(hinged_margin, kappa=kappa))  # -f and its slope
        broken = nearest.see(adv, logits)
        distance, away = rule.distance(adv)
        loss = distance - rule.c * climbed
        checked = (age % math.ceil(steps / 10) == 0) & abort_early
        over = (age == steps - 1) | (checked & ~(loss <= 0.9999 * before))
        before = torch.where(checked, loss, before)
        w = w + adam.step((away - per_row(rule.c).float() * slope) * outward)
        ended, again = rule.look(adv, broken, over)
        w = torch.where(per_row(ended), again, w)
        age, before = torch.where(ended, 0, age + 1), torch.where(ended, math.inf, before)
        adam.restart(ended)
        problem.retire(rule.finished.nonzero().squeeze(1))
    return nearest.points


class _Bisection:
    """Section VI.A: ||x' - x||_2^2, and the least c that succeeds."""

    def __init__(self, problem: Problem, start: Tensor, values: int | None, first: float | None) -> None:
        self._problem, self._start, self._centre = problem, start, _image(problem, start)[0]
        self.most_runs = 5 if values is None else values
        self.c = problem.distance(problem.x) + (1e-2 if first is None else first)  # (n,)
        self._lower, self._upper = torch.zeros_like(self.c), torch.full_like(self.c, math.inf)
        self._runs, self._hit = torch.zeros_like(problem.y), torch.zeros_like(problem.nonfinite)

    @property
    def finished(self) -> Tensor:
        return self._runs >= self.most_runs

    def distance(self, adv: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be small, float64 (n,), and its slope, float32 (n, c, h, w)."""
        change = adv - self._centre
        return self._problem.norms(change, "l2").flatten() ** 2, 2 * change

    def look(self, adv: Tensor, broken: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        """Which runs have ended, bool (n,), and where those rows go on."""
        hit = self._hit | broken
        self._upper = torch.where(over & hit, self.c, self._upper)
        self._lower = torch.where(over & ~hit, self.c, self._lower)
        following = torch.where(self._upper.isinf(), 10 * self.c, (self._lower + self._upper) / 2)
        self.c = torch.where(over, following, self.c)
        self._runs, self._hit = self._runs + over.long(), hit & ~over
        return over, self._start


class _Shrinking:
    """Section VI.C: sum_i max(|x'_i - x_i| - tau, 0), the smallest tau, and for it the least c that succeeds."""

    def __init__(self, problem: Problem, start: Tensor, values: int | None, first: float | None) -> None:
        self._problem, self._last = problem, start
        self._range = problem.threat.box[1] - problem.threat.box[0]
        self._values = 21 if values is None else values
        self.most_runs = self._values + math.ceil(math.log(LEAST_TAU) / math.log(SHRINK))
        self.c = problem.distance(problem.x) + (1e-5 if first is None else first)  # (n,)
        self._tau = torch.full_like(self.c, self._range)
        self._failures = torch.zeros_like(problem.y)

    @property
    def finished(self) -> Tensor:
        return (self._failures >= self._values) | (self._tau < LEAST_TAU * self._range)

    def distance(self, adv: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be small, float64 (n,), and its slope, float32 (n, c, h, w)."""
        change = adv - self._problem.x
        beyond = (change.abs() - per_row(self._tau).float()).clamp_min(0)
        return self._problem.norms(beyond, "l1").flatten(), change.sign() * (beyond > 0)

    def look(self, adv: Tensor, broken: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        """Which runs have ended, bool (n,), and where those rows go on."""
        largest = self._problem.norms(adv - self._problem.x, "linf").flatten()
        done = broken & (largest.float() <= self._tau.float())
        failed = over & ~done
        self._last = torch.where(per_row(done), _tanh_space(self._problem, adv), self._last)
        self._tau = torch.where(done, SHRINK * torch.minimum(self._tau, largest), self._tau)
        self.c, self._failures = torch.where(failed, 2 * self.c, self.c), self._failures + failed.long()
        return done | failed, self._last


def _tanh_space(problem: Problem, points: Tensor) -> Tensor:
    """w with `_image(w)` = x; pixels at the border of the box are kept a millionth off, where tanh still moves."""
    low, high = problem.threat.box
    return by_row(torch.atanh, ROWS, 0.999999 * (2 * (points - low) / (high - low) - 1))


def _image(problem: Problem, w: Tensor) -> tuple[Tensor, Tensor]:
    """x' = (tanh(w) + 1) / 2, stretched to the pixel box, and dx'/dw."""
    low, high = problem.threat.box
    t = by_row(torch.tanh, ROWS, w)  # its last bit may depend on where in memory a number is
    return problem.clip(low + (high - low) * (t + 1) / 2), (high - low) / 2 * (1 - t * t)
