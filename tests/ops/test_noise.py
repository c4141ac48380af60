"""Random numbers belong to samples."""

import random

import numpy as np
import pytest
import torch
from scipy import stats

from robeval.ops.noise import Noise

SHAPE = (2, 3, 3)


def draws(samples, seed=0, name="pgd", restart=0):
    """Three draws of one stream."""
    noise = Noise(seed, name, restart, samples)
    return [noise.uniform(SHAPE), noise.normal(SHAPE), noise.uniform(SHAPE)]


def test_shape_type_and_range():
    uniform, normal, _ = draws(range(50))
    assert uniform.shape == normal.shape == (50, *SHAPE)
    assert uniform.dtype == normal.dtype == torch.float32
    assert uniform.min() >= 0
    assert uniform.max() < 1


@pytest.mark.parametrize("samples", [[7], [3, 9, 7], [9, 3], list(range(9, -1, -1)), [7, 7]])
def test_a_sample_gets_its_numbers_in_any_company_and_order(samples):
    whole = draws(range(10))
    for part, all_of_it in zip(draws(samples), whole):
        assert torch.equal(part, all_of_it[samples])


@pytest.mark.parametrize("change", [{"seed": 1}, {"name": "fgsm"}, {"restart": 1}])
def test_another_seed_name_or_restart_gives_other_numbers(change):
    for one, other in zip(draws(range(10)), draws(range(10), **change)):
        assert not (one == other).flatten(1).all(dim=1).any()


def test_no_two_samples_or_draws_share_numbers():
    first, _, third = draws(range(200))
    assert len({row.numpy().tobytes() for draw in (first, third) for row in draw}) == 400


def test_seed_name_and_restart_do_not_run_together():
    assert not torch.equal(draws([0], seed=1, restart=11)[0], draws([0], seed=11, restart=1)[0])
    assert not torch.equal(draws([0], name="a", restart=11)[0], draws([0], name="a1", restart=1)[0])


def test_a_long_draw_does_not_reach_into_the_next():
    noise = Noise(0, "pgd", 0, [0])
    first, second = noise.uniform((1, 100, 100)).flatten(), noise.uniform((1, 100, 100)).flatten()
    assert len(np.intersect1d(first, second)) < 30, "equal by chance only"
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_large_sample_numbers():
    last = 2**40 + 1
    assert torch.equal(draws([last])[0], draws([0, last])[0][1:])


def test_distribution():
    uniform, normal, _ = (draw.double().numpy() for draw in draws(range(2000)))
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert abs(uniform.mean() - 0.5) < 5e-3
    assert abs(uniform.var() - 1 / 12) < 2e-3
    assert abs(normal.mean()) < 0.02
    assert abs(normal.var() - 1) < 0.03
    # The same across samples at one pixel: neighbours in number are no neighbours in value.
    assert stats.kstest(uniform[:, 0, 0, 0], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(uniform[:-1, 0, 0, 0], uniform[1:, 0, 0, 0])[0, 1]) < 0.08


def test_the_numbers_do_not_change_between_releases():
    """If this fails, results made before are no longer reproduced: raise the version of every random attack."""
    uniform, normal, _ = draws([0, 41], seed=7)
    assert uniform[:, 0, 0, 0].tolist() == [0.8664539456367493, 0.2924932837486267]
    assert normal[:, 0, 0, 0].tolist() == pytest.approx([2.7002508640289307, 0.9534742832183838], abs=1e-6)


def test_nobody_elses_random_numbers_are_touched():
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    draws(range(3))
    after = random.getstate(), np.random.get_state(), torch.get_rng_state()
    assert before[0] == after[0]
    assert all(np.array_equal(one, other) for one, other in zip(before[1], after[1]))
    assert torch.equal(before[2], after[2])


def test_nothing_global_changes_the_numbers():
    torch.manual_seed(1)
    one = draws(range(3))
    torch.manual_seed(2)
    assert all(map(torch.equal, one, draws(range(3))))


def test_no_samples():
    assert [len(draw) for draw in draws([])] == [0, 0, 0]


def test_a_part_goes_on_with_the_numbers_of_its_samples():
    whole, again = Noise(3, "it", 0, [7, 8, 9, 10]), Noise(3, "it", 0, [7, 8, 9, 10])
    whole.uniform([2])
    again.uniform([2])
    part = whole.part(np.array([3, 1]))
    rest = again.normal([5])
    assert torch.equal(part.normal([5]), rest[[3, 1]])
    assert torch.equal(part.uniform([1]), again.uniform([1])[[3, 1]])
    assert torch.equal(whole.normal([5]), rest)  # what a part draws is not taken from the whole
