"""One batch shape: what a row gets does not depend on its neighbours, its place or their number."""

import pytest
import torch
from doubles import COLOUR, Constant, ConvNet, Watched, classes, images
from torch import nn

from robeval.errors import UserError
from robeval.ops import geometry
from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches, by_row

MODEL = ConvNet(COLOUR)
X = images(64, COLOUR)
Y = torch.arange(64) % 10
MICRO = Microbatches(MODEL, 32)


def everything(model, x, y):
    return model.logits(x), *model.value_and_gradient(x, cross_entropy, y)


def test_the_answers_are_those_of_the_model_up_to_rounding():
    x = X.clone().requires_grad_()
    logits = MODEL(x)
    values = nn.functional.cross_entropy(logits, Y, reduction="none")
    (slope,) = torch.autograd.grad(values.sum(), x)
    for mine, plain in zip(everything(MICRO, X, Y), (logits, logits, values, slope)):
        assert torch.allclose(mine, plain, atol=1e-5)
        assert not mine.requires_grad


@pytest.mark.parametrize("rows", [[5], [63], range(7), range(30, 37), range(33), range(63, -1, -1), [9, 2, 9]])
def test_rows_are_bit_equal_in_any_company_order_and_number(rows):
    rows = list(rows)
    for part, whole in zip(everything(MICRO, X[rows], Y[rows]), everything(MICRO, X, Y)):
        assert torch.equal(part, whole[rows])


def test_rows_are_bit_equal_beside_images_that_break_the_model():
    x = X.clone()
    x[1::2] = torch.nan
    for spoiled, whole in zip(everything(MICRO, x, Y), everything(MICRO, X, Y)):
        assert torch.equal(spoiled[::2], whole[::2])


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("size", [1, 5, 32, 100])
def test_the_model_sees_one_shape_only(rows, size):
    model = Watched(MODEL)
    everything(Microbatches(model, size), X[:rows], Y[:rows])
    assert set(model.sizes) == {size}
    assert len(model.sizes) == 2 * -(-rows // size)


@pytest.mark.parametrize("size", [7, 16, 32])
def test_slopes_of_many_classes_are_bit_equal_in_any_number_of_rows(size):
    """Of few rows every pair of row and class has its own place in a microbatch, which saves most passes."""
    model = Watched(MODEL)
    micro, asked = Microbatches(model, size), (Y[:, None] + torch.arange(9)) % 10
    logits, slopes = micro.jacobian(X, asked)
    assert slopes.shape == (64, 9, *COLOUR)
    one = [micro.value_and_gradient(X, lambda z, c: z.gather(1, c[:, None])[:, 0], asked[:, k])[2] for k in range(9)]
    assert torch.equal(slopes, torch.stack(one, dim=1))
    for rows in ([63], [9, 2], range(5), range(size // 2), range(size + 1)):
        model.sizes.clear()
        part = micro.jacobian(X[list(rows)], asked[list(rows)])
        assert torch.equal(part[0], logits[list(rows)])
        assert torch.equal(part[1], slopes[list(rows)])
        assert set(model.sizes) == {size}
        if len(rows) == 1:
            assert len(model.sizes) == 2 + -(-9 // size), "and whether it answers twice alike"


def test_slopes_of_a_random_model_are_of_one_draw():
    class Gain(nn.Module):
        """Linear, times a random number of the pass: each logit is the product of slope and image."""

        def forward(self, x):
            return torch.rand(1) * x.flatten(1)[:, :10] * torch.arange(1, 11)

    asked = torch.arange(10).expand(64, 10)
    for rows in (1, 3, 64):
        logits, slopes = Microbatches(Gain(), 32).jacobian(X[:rows], asked[:rows])
        assert torch.allclose((slopes * X[:rows, None]).sum(dim=(2, 3, 4)), logits, atol=1e-5)


def test_padding_does_not_leak_into_the_answer():
    class Padded(nn.Module):
        """Rows of zeros get huge logits, and the sum of a batch would be NaN with them."""

        def forward(self, x):
            empty = (x == 0).flatten(1).all(dim=1)
            return torch.where(empty, torch.inf, 1.0)[:, None] * MODEL(x)

    for padded, plain in zip(everything(Microbatches(Padded(), 32), X[:7], Y[:7]), everything(MICRO, X[:7], Y[:7])):
        assert len(padded) == 7
        assert torch.equal(padded, plain)


def test_no_rows():
    logits, same, values, slope = everything(MICRO, X[:0], Y[:0])
    assert logits.shape == same.shape == (0, 10)
    assert values.shape == (0,)
    assert slope.shape == (0, *COLOUR)


def test_by_row_of_several_tensors():
    norms = by_row(lambda x, by: geometry.norms(x * by, "l2"), 32, X, Y.view(-1, 1, 1, 1).float())
    assert torch.allclose(norms, geometry.norms(X, "l2") * Y)
    assert torch.equal(
        norms[40:], by_row(lambda x, by: geometry.norms(x * by, "l2"), 32, X[40:], Y[40:, None, None, None])
    )


def test_nothing_is_left_behind_in_model_or_images():
    model = ConvNet(COLOUR)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = X.clone(), Y.clone()
    everything(Microbatches(model, 32), x, y)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert torch.equal(x, X)
    assert not x.requires_grad
    assert x.grad is None


def test_gradients_are_there_inside_no_grad():
    with torch.no_grad():
        slope = MICRO.value_and_gradient(X, cross_entropy, Y)[2]
    assert (slope != 0).any()


def test_a_constant_model_has_a_gradient_of_zero():
    slope = Microbatches(Constant(10), 32).value_and_gradient(X, cross_entropy, Y)[2]
    assert torch.equal(slope, torch.zeros_like(X))


@pytest.mark.parametrize("cut", [torch.Tensor.detach, lambda z: nn.functional.one_hot(z.argmax(1), 10).float()])
def test_a_model_without_gradients_is_refused_but_can_be_asked(cut):
    class Opaque(nn.Module):
        def forward(self, x):
            return cut(MODEL(x))

    opaque = Microbatches(Opaque(), 32)
    assert torch.equal(opaque.logits(X).argmax(dim=1), classes(MODEL, X))
    with pytest.raises(UserError, match="no gradient to the image"):
        opaque.value_and_gradient(X, cross_entropy, Y)
