"""L-BFGS against scipy on one image at a time, and against exact minimal distances."""

import math
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import COLOUR, Constant, ConvNet, Linear, NotANumber, classes, images, marked, problem
from scipy.optimize import minimize

from robeval.attacks.lbfgs import lbfgs
from robeval.values.threat import ThreatModel

L2 = ThreatModel("l2", math.inf)


def first_class(model, image, label):
    """The first wrong class on 1000 steps along the gradient, and on 20 finer ones if it is among the first 20."""
    point = image.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(point), label), point)
    ray = slope / slope.square().mean().sqrt()
    lengths = np.linspace(0, 1, 1001)[1:]

    def first(lengths):
        seen = (classes(model, (image + length * ray).clamp(0, 1)) for length in lengths)
        return next((index, each) for index, each in enumerate(seen) if each != label)

    index, found = first(lengths)
    return found if index >= 20 else first(np.linspace(0, lengths[index], 21)[1:])[1]


def one_image(model, image, label, doublings=30, precision=1e-5):
    """The published procedure for one image, and the least distance of any misclassified point on its way."""
    wanted, best = first_class(model, image, label), math.inf
    start = image.double().numpy().ravel()

    def look(flat):
        nonlocal best
        point = torch.from_numpy(flat).float().view_as(image).requires_grad_()
        logits = model(point)
        if logits.argmax() != label:
            best = min(best, (point - image).detach().double().norm().item())
        return point, logits

    def objective(flat, c):
        point, logits = look(flat)
        loss = F.cross_entropy(logits, wanted)
        (slope,) = torch.autograd.grad(loss, point)
        value = np.mean((flat - start) ** 2) + c * loss.item()
        return 1e10 * value, 1e10 * (2 * (flat - start) / flat.size + c * slope.double().numpy().ravel())

    def succeeds(c):
        options = {"maxiter": 150, "maxcor": 15, "ftol": 1e7 * np.finfo(float).eps, "gtol": 1e-5}
        bounds = [(0, 1)] * start.size
        found = minimize(objective, start, (c,), "L-BFGS-B", jac=True, bounds=bounds, options=options).x
        return bool(look(found)[1].argmax() != label)

    c = 2e-5
    for _ in range(doublings):
        if succeeds(c):
            break
        c *= 2
    low, high = 0.0, c
    while high - low >= precision:
        middle = (low + high) / 2
        low, high = (low, middle) if succeeds(middle) else (middle, high)
    return best


def test_the_same_distances_as_scipy_on_one_image_at_a_time():
    """Both see float32 logits; the last bits of a batch move the line searches, and the distances a little."""
    model, x = ConvNet(COLOUR, kind=torch.nn.Tanh), images(6, COLOUR)
    y = classes(model, x)
    asked = problem(model, x, y, L2)
    adv = lbfgs(asked)
    assert (classes(model, adv) != y).all()
    expected = torch.tensor([one_image(model, x[i : i + 1], y[i : i + 1]) for i in range(6)], dtype=torch.float64)
    ratio = asked.distance(adv) / expected
    assert abs(ratio.median() - 1) < 0.002
    assert ((ratio - 1).abs() < 0.03).all()


def test_the_box_is_kept_and_counts_as_the_unit_of_pixels():
    """The same pixels and logits in a box of twice the size: the same walk in twice the size."""
    model = Linear((1, 2, 2), 3, scale=4)

    class Halved(torch.nn.Module):
        def forward(self, x):
            return model(x / 2)

    x = images(6, (1, 2, 2))
    y = classes(model, x)
    small = lbfgs(problem(model, x, y, L2))
    large = lbfgs(problem(Halved(), 2 * x, y, ThreatModel("l2", math.inf, (0.0, 2.0))))
    assert (small != x).flatten(1).any(dim=1).all()
    assert torch.allclose(2 * small, large, atol=2e-3)
    assert small.min() >= 0
    assert small.max() <= 1


def test_queries_are_counted_for_rows_that_ask():
    """One row is solved at once, another has further to go; neither pays for the other."""
    model, x = Linear(COLOUR, 2), images(6, COLOUR)
    y = classes(model, x)
    together, alone = problem(model, x, y, L2), []
    lbfgs(together, steps=20, precision=1e-3)
    for i in range(6):
        asked = problem(model, x[i : i + 1], y[i : i + 1], L2)
        lbfgs(asked, steps=20, precision=1e-3)
        alone.append((asked.forwards.item(), asked.backwards.item()))
    assert alone == list(zip(together.forwards.tolist(), together.backwards.tolist()))
    assert len({forwards for forwards, _ in alone}) > 3


def test_a_class_is_drawn_where_no_step_along_the_gradient_reaches_one():
    """A flat model: nothing along the way, but runs are made for a class of the sample's own noise."""
    x, y = images(3), torch.tensor([0, 0, 1])
    asked = problem(Constant(2), x, y, L2)
    assert torch.equal(lbfgs(asked, doublings=2, steps=3), x)
    assert asked.forwards[:2].min() > 2, "the clean images, the gradient, and runs"
    assert asked.forwards[:2].max() < 40, "but no lengths of a step of 0"
    assert asked.forwards[2] == 1


def test_errors_of_the_model_come_out_and_no_thread_stays():
    class Breaks(Linear):
        asked = 0

        def forward(self, x):
            self.asked += 1
            if self.asked > 30:
                raise torch.OutOfMemoryError("too much")
            return super().forward(x)

    before, model, x = threading.active_count(), Breaks(COLOUR, 2), images(8, COLOUR)
    with pytest.raises(torch.OutOfMemoryError, match="too much"):
        lbfgs(problem(model, x, classes(model, x), L2))
    assert threading.active_count() == before


def test_rows_with_nan_end_and_the_others_do_not_notice():
    x, light = marked(12, COLOUR)
    model = ConvNet(COLOUR)
    y = classes(model, x)
    given = {"steps": 5, "doublings": 12, "precision": 0.01, "lengths": 30}
    spoiled, plain = (lbfgs(problem(each, x, y, L2), **given) for each in (NotANumber(model), model))
    assert NotANumber(model)(spoiled).isfinite().all()
    assert torch.equal(spoiled[~light], plain[~light])
