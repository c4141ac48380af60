"""Losses against closed forms, their gradients against finite differences."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import seeded

from robeval.ops import losses

Z = 3 * torch.randn(40, 5, generator=seeded(0), dtype=torch.float64)
Y = torch.randint(0, 5, (40,), generator=seeded(1))
ALL = {
    **losses.LOSSES,
    "hinged 0": partial(losses.hinged_margin, kappa=0.0),
    "hinged 50": partial(losses.hinged_margin, kappa=50.0),
}
T = (Y + 1 + torch.randint(0, 4, (40,), generator=seeded(3))) % 5
PAIR = torch.stack([Y, T], dim=1)
TARGETED = losses.TARGETED | {"hinged": partial(losses.targeted_margin, kappa=2.0)}


def by_hand(function):
    """A loss row by row, as plain Python on numpy float64."""
    return np.array([function(row, label) for row, label in zip(Z.numpy(), Y.numpy())])


def lead(z, y):
    return max(np.delete(z, y)) - z[y]


def test_cross_entropy():
    assert np.allclose(losses.cross_entropy(Z, Y), by_hand(lambda z, y: np.log(np.exp(z).sum()) - z[y]))


def test_margin_is_positive_exactly_where_the_sample_is_wrong():
    assert np.allclose(losses.margin(Z, Y), by_hand(lead), rtol=0, atol=0)
    assert torch.equal(losses.margin(Z, Y) > 0, Z.argmax(dim=1) != Y)


@pytest.mark.parametrize("kappa", [0.0, 2.0, 50.0])
def test_hinged_margin(kappa):
    assert np.allclose(losses.hinged_margin(Z, Y, kappa), by_hand(lambda z, y: -max(-lead(z, y) + kappa, 0)))


def test_the_hinge_is_flat_once_another_class_leads_by_kappa():
    z = torch.tensor([[0.0, 4.9], [0.0, 5.1]], dtype=torch.float64, requires_grad=True)
    value = losses.hinged_margin(z, torch.tensor([0, 0]), kappa=5.0)
    assert torch.allclose(value, torch.tensor([-0.1, 0.0], dtype=torch.float64))
    assert torch.autograd.grad(value.sum(), z)[0].tolist() == [[-1, 1], [0, 0]]


def test_hinged_margin_is_the_loss_of_the_madry_challenge():
    """cifar10_challenge, pgd_attack.py: the competitor is found by masking the label with -1e4."""
    mask = F.one_hot(Y, 5).double()
    correct, wrong = (mask * Z).sum(dim=1), ((1 - mask) * Z - 1e4 * mask).amax(dim=1)
    assert torch.equal(losses.hinged_margin(Z, Y, 50.0), -F.relu(correct - wrong + 50))


def test_dlr():
    def formula(z, y):
        first, _, third, *_ = sorted(z, reverse=True)
        return -(z[y] - max(np.delete(z, y))) / (first - third + 1e-12)

    assert np.allclose(losses.dlr(Z, Y), by_hand(formula))


def test_dlr_does_not_depend_on_scale_and_shift():
    assert torch.allclose(losses.dlr(7 * Z - 3, Y), losses.dlr(Z, Y))


def test_dlr_with_ties_is_finite():
    z = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 1.0, 0.0], [3.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    y = torch.tensor([2, 0, 0])
    assert torch.allclose(losses.dlr(z, y), torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64))
    z = z.float().requires_grad_()
    (slope,) = torch.autograd.grad(losses.dlr(z, y).sum(), z)
    assert slope[1:].isfinite().all()


def test_kl_from():
    clean = torch.randn(40, 5, generator=seeded(2), dtype=torch.float64)
    theirs = F.kl_div(F.log_softmax(Z, dim=1), F.softmax(clean, dim=1), reduction="none").sum(dim=1)
    assert torch.allclose(losses.kl_from(Z, clean), theirs)
    assert (losses.kl_from(Z, clean) > 0).all()
    assert torch.allclose(losses.kl_from(Z, Z), torch.zeros(40, dtype=torch.float64))
    assert not torch.allclose(losses.kl_from(Z, clean), losses.kl_from(clean, Z)), "its arguments have an order"


def test_kl_from_is_finite_where_a_probability_is_zero():
    clean, adv = torch.tensor([[0.0, -2000.0]]), torch.tensor([[-2000.0, 0.0]])
    assert losses.kl_from(adv, clean).isfinite().all()
    assert losses.kl_from(clean, clean).item() == 0


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_finite_differences(name):
    assert torch.autograd.gradcheck(lambda z: ALL[name](z, Y[:8]), Z[:8].clone().requires_grad_())


def test_gradients_of_kl_flow_into_both_arguments():
    clean = torch.randn(4, 5, generator=seeded(2), dtype=torch.float64)
    assert torch.autograd.gradcheck(losses.kl_from, (Z[:4].clone().requires_grad_(), clean.requires_grad_()))


@pytest.mark.parametrize("name", ALL)
def test_one_value_per_row_that_no_other_row_changes(name):
    whole = ALL[name](Z, Y)
    assert whole.shape == (40,)
    assert torch.equal(whole, torch.cat([ALL[name](Z[i : i + 1], Y[i : i + 1]) for i in range(40)]))


@pytest.mark.parametrize("name", sorted(set(ALL) - {"dlr"}))
def test_two_classes(name):
    assert ALL[name](Z[:, :2], Y % 2).isfinite().all()


def test_cross_entropy_stays_finite_for_large_logits():
    assert losses.cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([1])).item() == 2e4


# ── targeted ──


def by_hand_targeted(function):
    return np.array([function(row, label, wanted) for row, label, wanted in zip(Z.numpy(), Y.numpy(), T.numpy())])


def test_targeted_cross_entropy_and_difference():
    assert np.allclose(losses.towards(Z, PAIR), by_hand_targeted(lambda z, y, t: z[t] - np.log(np.exp(z).sum())))
    assert np.allclose(losses.difference(Z, PAIR), by_hand_targeted(lambda z, y, t: z[t] - z[y]))


def test_targeted_margin_is_positive_exactly_where_the_wanted_class_is_given():
    assert np.allclose(losses.targeted_margin(Z, PAIR), by_hand_targeted(lambda z, y, t: -lead(z, t)))
    assert torch.equal(losses.targeted_margin(Z, PAIR) > 0, Z.argmax(dim=1) == T)


def test_targeted_hinge_is_that_of_bat():
    """Its attack: max(max_{j != t} z_j - z_t + 50, 0) is made small."""
    found = losses.targeted_margin(Z, PAIR, kappa=50.0)
    assert np.allclose(found, by_hand_targeted(lambda z, y, t: -max(lead(z, t) + 50, 0)))


def test_targeted_dlr():
    def formula(z, y, t):
        first, _, third, fourth, _ = sorted(z, reverse=True)
        return -(z[y] - z[t]) / (first - (third + fourth) / 2 + 1e-12)

    assert np.allclose(losses.targeted_dlr(Z, PAIR), by_hand_targeted(formula))


@pytest.mark.parametrize("name", TARGETED)
def test_targeted_gradients_are_those_of_finite_differences(name):
    assert torch.autograd.gradcheck(lambda z: TARGETED[name](z, PAIR[:8]), Z[:8].clone().requires_grad_())


@pytest.mark.parametrize(("loss", "targeted", "least"), [("ce", False, 2), ("dlr", False, 3), ("dlr", True, 4)])
def test_the_classes_a_loss_needs(loss, targeted, least):
    assert losses.too_few_classes(loss, targeted, least) == ""
    if least > 2:
        found = losses.too_few_classes(loss, targeted, least - 1)
        assert found == f"loss '{loss}' needs {least} classes, but there are {least - 1}"


def test_kappa_belongs_to_the_margin_alone():
    assert losses.chosen("ce", False, 50.0) is losses.cross_entropy
    assert torch.equal(losses.chosen("margin", False, 1.5)(Z, Y), losses.hinged_margin(Z, Y, 1.5))
    assert torch.equal(losses.chosen("margin", True, 1.5)(Z, PAIR), losses.targeted_margin(Z, PAIR, 1.5))
