"""What is filled in for a new model."""

import pytest

from robeval.train.defaults import fill
from robeval.train.registry import catalog


def filled(dataset, method, **given):
    return fill(dataset, catalog()[method], given)


@pytest.mark.parametrize(
    ("dataset", "ball", "starts"),
    [("mnist", (0.3, 40, 0.01), [55, 75, 90]), ("cifar10", (0.031, 10, 0.007), [75, 90, 100])],
)
def test_trades_is_as_released(dataset, ball, starts):
    found = filled(dataset, "trades")
    assert (found["eps"], found["steps"], found["step_size"]) == ball
    assert found["decay_epochs"] == starts
    assert "schedule" not in found


def test_what_is_given_is_not_torn_apart():
    other = filled("cifar10", "trades", norm="linf", eps="4/255", epochs=10)
    assert (other["steps"], other["step_size"]) == (10, pytest.approx(2.5 * 4 / 255 / 10))
    assert other["schedule"] == "cosine"
    assert "decay_epochs" not in other


@pytest.mark.parametrize(("method", "steps"), [("madry", 10), ("bat", 1)])
def test_many_steps_go_two_and_a_half_times_the_radius_and_one_goes_as_far(method, steps):
    step = filled("cifar10", method)["step_size"]
    assert step == pytest.approx((2.5 if steps > 1 else 1) * 8 / 255 / steps)


@pytest.mark.parametrize("dataset", ["mnist_5_7", "digits_5_7"])
def test_linear_exact_has_all_it_needs_for_its_own_digits(dataset):
    found = filled(dataset, "linear_exact")
    assert {"norm", "eps", "batch_size", "learning_rate"} <= set(found)
    assert found["epochs"] == 100
