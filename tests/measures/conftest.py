"""Measures asked directly, without ledger and command."""

import numpy as np
import pytest

from robeval.measures import registry


@pytest.fixture
def found():
    """The findings of a measure for some columns, by metric and place."""

    def ask(name, columns, **params):
        entry = registry.find(name)
        return {(each.metric, each.at): each for each in entry.summary(columns, registry.resolved(entry, params))}

    return ask


@pytest.fixture
def theory():
    """The findings of an entry of theory, by metric and place."""

    def ask(name, seed=0, **params):
        entry = registry.find(name)
        given = registry.resolved(entry, params)
        return {(each.metric, each.at): each for each in entry.function(np.random.default_rng(seed), **given)}

    return ask
