"""A place for attacks that exist during one test."""

from collections.abc import Callable

import pytest
from torch import Tensor

from robeval.attacks import registry


@pytest.fixture
def enter(monkeypatch) -> Callable[[Callable[..., Tensor]], str]:
    """Enter a function into the catalog under its own name, for this test only."""

    def enter_(function: Callable[..., Tensor]) -> str:
        name = function.__name__
        entry = registry.Entry(name, function, ("linf", "l2"))
        monkeypatch.setitem(registry._CATALOG, name, entry)
        return name

    return enter_
