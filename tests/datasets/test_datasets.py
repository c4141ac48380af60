"""The catalog of data sets, and the digits."""

import numpy as np
import pytest
import torch

from robeval.datasets import registry
from robeval.errors import UserError


def test_the_catalog_has_every_data_set_with_a_summary():
    known = registry.catalog()
    assert {"cifar10", "digits", "mnist", "toy", "toy_four"} <= set(known)
    assert all(entry.summary for entry in known.values())


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'mnist'") as caught:
        registry.load("minst", "test", where="suites/x.toml")
    assert caught.value.where == "suites/x.toml"
    with pytest.raises(UserError, match=r"'digits' has no split 'tests'\n.*Did you mean 'test'"):
        registry.load("digits", "tests")


def test_digits_are_split_by_class_and_order():
    train, test = registry.load("digits", "train"), registry.load("digits", "test")
    assert (len(train), len(test)) == (1195, 602)
    assert train.shape == (1, 8, 8)
    assert train.num_classes == 10
    share = np.bincount(test.y) / (np.bincount(test.y) + np.bincount(train.y))
    assert np.abs(share - 1 / 3).max() < 0.01


def test_a_slice_is_a_copy():
    samples = registry.load("digits", "test")
    x, y = samples.slice(3, 5)
    assert x.shape == (2, 1, 8, 8)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    x += 1
    y += 1
    again, labels = samples.slice(3, 5)
    assert again.max() <= 1
    assert labels.tolist() == samples.y[3:5].tolist()


def test_roots_are_searched_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_DATA", str(tmp_path / "env"))
    monkeypatch.setenv("ROBEVAL_CACHE", str(tmp_path / "cache"))
    given, env, cache = tmp_path / "given", tmp_path / "env", tmp_path / "cache" / "data"
    assert registry.data_roots(given) == (given, env, cache)
    assert registry.data_roots() == (env, cache)
