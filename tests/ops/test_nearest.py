"""What minimal-distance attacks keep."""

import torch
from doubles import GREY, problem
from torch import nn

from robeval.ops.nearest import Nearest
from robeval.values.threat import ThreatModel

X = torch.full((4, *GREY), 0.5)
Y = torch.zeros(4, dtype=torch.int64)
WRONG, RIGHT = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])


def rows(*logits):
    return torch.cat(logits)


def test_the_nearest_misclassified_point_is_kept():
    given = problem(nn.Identity(), X, Y, ThreatModel("linf", 0.1))
    nearest = Nearest(given)
    assert not nearest.found.any()
    assert torch.equal(nearest.points, X)
    far, near = X + 0.3, X - 0.2
    assert nearest.see(far, rows(WRONG, WRONG, RIGHT, WRONG)).tolist() == [True, True, False, True]
    assert nearest.see(near, rows(WRONG, RIGHT, RIGHT, WRONG)).tolist() == [True, False, False, True]
    nearest.see(far, rows(WRONG, WRONG, RIGHT, WRONG))
    assert torch.equal(nearest.points, torch.stack([near[0], far[1], X[2], near[3]]))
    assert nearest.found.tolist() == [True, True, False, True]
    assert torch.allclose(nearest.distances[:2], torch.tensor([0.2, 0.3]).double(), atol=1e-6)


def test_outside_the_box_not_finite_and_retired_do_not_count():
    given = problem(nn.Identity(), X, Y, ThreatModel("l2", 0.1))
    given.retire(torch.tensor([3]))
    points = X.clone()
    points[0, 0, 0, 0], points[1, 0, 0, 0] = 1.01, torch.nan
    nearest = Nearest(given)
    assert not nearest.see(points, rows(WRONG, WRONG, torch.tensor([[torch.nan, 1]]), WRONG)).any()
    assert torch.equal(nearest.points, X)
