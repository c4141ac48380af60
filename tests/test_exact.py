"""The oracle of the minimal-distance tests against itself, formulas and the naked eye."""

import pytest
import torch
from doubles import COLOUR, Linear, classes, images, seeded
from exact import ReluNet, linear_by_programs, linear_distance, near_the_border, relu_distance

NORMS = ("linf", "l2", "l1")
ORDER = {"linf": torch.inf, "l2": 2, "l1": 1}


@pytest.mark.parametrize("norm", NORMS)
def test_a_box_far_away_leaves_the_textbook_formula(norm):
    model, x = Linear(COLOUR, 4), images(6, COLOUR, 0.3, 0.7)
    y = classes(model, x)
    far = linear_distance(model, x, y, norm, (-1e3, 1e3))
    assert torch.allclose(far, model.margin(x, y, norm), rtol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_formulas_and_programs_agree_in_and_out_of_reach_of_the_box(norm):
    for k, scale in ((2, 1.0), (5, 0.1)):
        model, x = Linear((1, 3, 3), k, scale=scale), near_the_border(40, (1, 3, 3))
        y = torch.arange(40) % k  # right, wrong, and out of reach
        formulas, programs = (solve(model, x, y, norm) for solve in (linear_distance, linear_by_programs))
        assert torch.allclose(formulas, programs, rtol=1e-7, atol=1e-9)
        boxed = formulas > model.margin(x, y, norm).clamp_min(0) + 1e-6
        assert boxed.any(), "the box costs something"


@pytest.mark.parametrize("norm", NORMS)
def test_a_class_that_no_image_in_the_box_reaches_is_infinitely_far(norm):
    model, x = Linear((1, 1, 1), 2), torch.full((1, 1, 1, 1), 0.5)
    model.weight.data = torch.tensor([[0.0], [1.0]])
    model.bias.data = torch.tensor([0.6, 0.0])
    assert linear_distance(model, x, torch.tensor([0]), norm).isinf().all()
    assert linear_by_programs(model, x, torch.tensor([0]), norm).isinf().all()


@pytest.mark.parametrize("norm", NORMS)
def test_the_network_of_two_pixels_against_a_grid(norm):
    """On a grid of 1/400 the nearest misclassified image is at most the grid's own width further."""
    model, x = ReluNet((1, 1, 2), hidden=4), images(8, (1, 1, 2))
    y = classes(model, x)
    side = torch.linspace(0, 1, 401)
    grid = torch.cartesian_prod(side, side).view(-1, 1, 1, 2)
    wrong = classes(model, grid)[None] != y[:, None]  # (n, points)
    length = (grid[None].double() - x[:, None].double()).flatten(2).norm(p=ORDER[norm], dim=2)
    seen = length.where(wrong, torch.inf).amin(dim=1)
    exact = relu_distance(model, x, y, norm)
    assert (exact.isfinite() == seen.isfinite()).all()
    assert exact.isfinite().sum() >= 4
    some = exact.isfinite()
    assert (exact[some] <= seen[some] + 1e-7).all()
    assert (seen[some] <= exact[some] + 0.01).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_network_whose_units_are_all_on_is_a_linear_model(norm):
    net, line = ReluNet((1, 2, 2), hidden=4), Linear((1, 2, 2), 3)
    net.shift.data = torch.full((4,), 50.0)
    line.weight.data = net.second.data @ net.first.data
    line.bias.data = net.second.data @ net.shift.data + net.bias.data
    line.bias.data -= line.bias.data.mean()
    net.bias.data -= (net.second.data @ net.shift.data + net.bias.data) - line.bias.data
    x = images(4, (1, 2, 2))
    y = classes(line, x)
    assert torch.allclose(relu_distance(net, x, y, norm), linear_distance(line, x, y, norm), atol=1e-4)


def test_wrong_already_is_0():
    model, x = ReluNet(), images(4, (1, 2, 3))
    y = (classes(model, x) + 1) % 3
    for norm in NORMS:
        assert relu_distance(model, x, y, norm).abs().max() < 1e-7


@pytest.mark.parametrize("norm", NORMS)
def test_no_random_image_is_misclassified_any_nearer(norm):
    model, x = ReluNet(seed=1), near_the_border(6, (1, 2, 3), seed=1)
    y = classes(model, x)
    exact = relu_distance(model, x, y, norm)
    draw = seeded(3)
    for image, label, least in zip(x, y, exact):
        reach = 0.5 * torch.rand(20000, 1, 1, 1, generator=draw)
        points = (image + reach * torch.randn(20000, 1, 2, 3, generator=draw)).clamp(0, 1)
        wrong = classes(model, points) != label
        length = (points.double() - image.double()).flatten(1).norm(p=ORDER[norm], dim=1)
        assert not (wrong & (length < least - 1e-6)).any()
