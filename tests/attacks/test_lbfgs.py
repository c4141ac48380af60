"""Box-constrained L-BFGS: exact optima, one image at a time with SciPy, and what it costs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, Constant, ConvNet, Linear, classes, images, problem
from scipy.optimize import minimize

from robeval.attacks.lbfgs import lbfgs
from robeval.ops import geometry
from robeval.ops.losses import cross_entropy
from robeval.values.threat import ThreatModel

FREE = ThreatModel("l2", float("inf"))


@pytest.mark.parametrize("seed", range(2))
def test_two_classes_are_found_near_the_exact_distance(seed):
    model, x = Linear(COLOUR, 2, seed, scale=0.5), images(24, COLOUR, 0.35, 0.65)
    y = classes(model, x)
    exact = model.margin(x, y, "l2").numpy()
    adv = lbfgs(problem(model, x, y, FREE))
    found = geometry.distance(adv, x, "l2").numpy()
    assert (classes(model, adv) != y).all()
    assert (found >= exact - 1e-6).all()
    assert (found <= 1.02 * exact + 1e-3).all(), "the bracket of c ends at 1e-5"


def alone(model, x, y, target):
    """One image with SciPy and plain torch, float64 network; the nearest misclassified point that was visited."""
    model, start = model.double(), x.double().flatten().numpy()
    nearest = np.inf

    def descend(c):
        def objective(point):
            nonlocal nearest
            points = torch.tensor(point.reshape(x.shape)).requires_grad_()
            logits = model(points)
            value = F.cross_entropy(logits, target)
            (slope,) = torch.autograd.grad(value, points)
            if int(logits.argmax()) != int(y):
                nearest = min(nearest, np.linalg.norm(point - start))
            delta = point - start
            total = delta @ delta / start.size + c * value.item()
            return 1e10 * total, 1e10 * (2 * delta / start.size + c * slope.numpy().ravel())

        bounds = [(0, 1)] * start.size
        options = {"maxcor": 15, "maxiter": 150}
        end = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        return int(model(torch.tensor(end.reshape(x.shape))).argmax()) != int(y)

    c, low, high = 2e-5, 0.0, None
    for _ in range(30):
        if descend(c):
            high = c
            break
        low, c = c, 2 * c
    while high is not None and high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if descend(middle) else (middle, high)
    model.float()
    return nearest


def test_side_by_side_is_the_same_as_one_at_a_time():
    model, x = ConvNet(COLOUR, 3, kind=torch.nn.Tanh), images(6, COLOUR)
    y = classes(model, x)
    found = geometry.distance(lbfgs(problem(model, x, y, FREE, 4)), x, "l2").numpy()
    for i in range(6):
        one, label = x[i : i + 1], y[i : i + 1]
        expected = min(alone(model, one, label, (label + step) % 3) for step in (1, 2))
        assert found[i] >= 0.98 * expected
        worst = max(alone(model, one, label, (label + step) % 3) for step in (1, 2))
        assert found[i] <= 1.05 * worst


def test_the_pixel_box_is_a_bound_of_the_optimiser():
    """With a pixel at its border the nearest point is elsewhere than without the box."""
    model, x = Linear(COLOUR, 2, scale=0.5), images(16, COLOUR, -0.3, 1.3).clamp(0, 1)
    y = classes(model, x)
    adv = lbfgs(problem(model, x, y, FREE))
    assert geometry.boxed(adv, FREE).all()
    assert (classes(model, adv) != y).all()
    found, free = geometry.distance(adv, x, "l2").numpy(), model.margin(x, y, "l2").numpy()
    assert (found >= free - 1e-6).all()
    assert (found > 1.05 * free).any()


def test_finished_images_are_not_asked_about():
    model, x = ConvNet(COLOUR, 3, kind=torch.nn.Tanh), images(4, COLOUR)
    y = classes(model, x)
    together, single = problem(model, x, y, FREE, 4), problem(model, x[:1], y[:1], FREE, 4)
    lbfgs(together)
    lbfgs(single)
    assert together.forwards[0] == single.forwards[0]
    assert len(set(together.forwards.tolist())) > 1


def test_what_cannot_be_broken_stays():
    x = images(3)
    given = problem(Constant(2), x, torch.zeros(3, dtype=torch.int64), FREE)
    assert torch.equal(lbfgs(given, lengths=10, doublings=2), x)
    value = given.value_and_gradient(x, cross_entropy)[0]
    assert value.isfinite().all()
