"""Adam with a clock for each row, against torch's."""

import torch
from doubles import images, seeded

from robeval.ops.adam import Adam


def test_the_same_walk_as_torchs_optimiser():
    start, draw = images(5), seeded(1)
    theirs = start.clone().requires_grad_()
    optimiser, ours, adam = torch.optim.Adam([theirs], lr=0.01, eps=1e-7), start, Adam(start, 0.01, 1e-7)
    for _ in range(30):
        theirs.grad = torch.randn(start.shape, generator=draw)
        optimiser.step()
        ours = ours + adam.step(theirs.grad)
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_rows_that_start_afresh_step_as_new_ones_and_leave_the_others_alone():
    start, draw = images(4), seeded(2)
    slopes = torch.randn(20, *start.shape, generator=draw)
    some = torch.tensor([True, False, False, True])
    adam, undisturbed, new = (Adam(start, 0.01, 1e-7) for _ in range(3))
    for slope in slopes[:10]:
        adam.step(slope)
        undisturbed.step(slope)
    adam.restart(some)
    for slope in slopes[10:]:
        mixed, old, young = adam.step(slope), undisturbed.step(slope), new.step(slope)
        assert torch.equal(mixed[~some], old[~some])
        assert torch.equal(mixed[some], young[some])
