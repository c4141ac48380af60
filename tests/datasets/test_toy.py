"""The toy data's margins are what its docstring says."""

import numpy as np
import pytest

from robeval.datasets import registry, toy

SETS = [("toy", 2), ("toy_four", 4)]


@pytest.mark.parametrize(("name", "k"), SETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_it_is_separable_with_the_given_margins(name, k, split):
    samples = registry.load(name, split)
    assert samples.shape == (1, 4, 4)
    assert samples.x.dtype == np.float32
    assert 0 < samples.x.min() < samples.x.max() < 1
    assert np.bincount(samples.y).tolist() == [len(samples) // k] * k
    weights = toy.patterns(k).astype(float)
    logits = samples.x.reshape(-1, 16).astype(float) @ weights.T
    margins = {norm: toy.margins(samples.x, samples.y, k, norm) for norm in ("linf", "l2")}
    rows = np.arange(len(samples))
    for other in range(k):
        chosen = rows[samples.y != other]
        gap = logits[chosen, samples.y[chosen]] - logits[chosen, other]
        apart = weights[samples.y[chosen]] - weights[other]
        assert np.array_equal(gap / np.abs(apart).sum(axis=1), margins["linf"][chosen])
        assert np.allclose(gap / np.sqrt((apart**2).sum(axis=1)), margins["l2"][chosen], rtol=1e-12)
    assert margins["linf"].min() >= 50 / 1024
    assert margins["linf"].max() <= 300 / 1024


def test_it_is_always_the_same_and_the_splits_differ():
    first, again = registry.load("toy", "test"), registry.load("toy", "test")
    assert first.content == again.content == "3ab6f6f3b747d360f5ad3662a5de11f8"
    train = registry.load("toy", "train").x.reshape(-1, 16)
    assert not (train[:, None] == first.x.reshape(1, -1, 16)).all(axis=2).any()
