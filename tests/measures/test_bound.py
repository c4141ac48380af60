"""The bound of Theorem 3.1, on a linear score, of which the worst image is known."""

import numpy as np
import pytest
import torch
from torch import nn

from robeval import measuring
from robeval.errors import UserError


class Score(nn.Module):
    """f(x) = w.x - 1 as the difference of two logits."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-2, 3, 4))

    def forward(self, x):
        f = x.flatten(1) @ self.w - 1
        return torch.stack([-f / 2, f / 2], dim=1)


EPS = 0.1


@pytest.fixture
def data():
    """Images whose balls do not touch the ends of the pixel range."""
    draw = np.random.default_rng(3)
    return (0.2 + 0.6 * draw.random((300, 1, 2, 2))).astype(np.float32), draw.integers(2, size=300)


@pytest.mark.parametrize("divisor", [0.5, 5.0])
def test_a_linear_score_has_the_closed_form(data, divisor):
    x, labels = data
    found = measuring.measure("bound", {"score": Score()}, data, eps=EPS, divisor=divisor, device="cpu", microbatch=32)
    values = found.table.set_index("metric").value
    w, y = np.linspace(-2, 3, 4), 2 * labels - 1
    f = x.reshape(300, -1).astype(float) @ w - 1
    worst = np.abs(f) - EPS * np.abs(w).sum()  # sign(f) f(x') at its least
    robust = (y * f > 0) & (worst > 0)
    surrogate = np.maximum(1 - y * f, 0)
    change = np.maximum(1 - np.abs(f) * worst / divisor, 0)
    assert values["robust_accuracy"] == robust.mean()
    assert values["surrogate_risk"] == pytest.approx(surrogate.mean(), rel=1e-5)
    assert values["change_risk"] == pytest.approx(change.mean(), rel=1e-5)
    assert values["delta"] == pytest.approx(surrogate.mean() + change.mean() - (1 - robust.mean()), rel=1e-5)
    assert values["delta"] >= 0, "the theorem"


def test_more_classes_are_refused():
    x, y = np.zeros((3, 1, 2, 2), np.float32), np.array([0, 1, 2])
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(UserError, match="about two classes, but the model has 3"):
        measuring.measure("bound", {"net": net}, (x, y), eps=EPS, device="cpu", microbatch=4)
