"""Which network families there are."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

import robeval.zoo.archs
from robeval.errors import UserError, nearest, raise_together
from robeval.values.parameters import resolve

Build = Callable[..., nn.Module]

_CATALOG: dict[str, Build] = {}
_VARIANTS: dict[str, tuple[Mapping[str, Any], ...]] = {}


def arch(name: str, variants: Sequence[Mapping[str, Any]] = ()) -> Callable[[Build], Build]:
    """Enter a building function `(shape, num_classes, *, ...) -> nn.Module` under `name`.

    `shape` is (channels, height, width); the keywords are the keys of a card's `[network]` section.

    Args:
        variants: well-known keywords other than the defaults, tried when a file of weights is inspected.
    """

    def enter(build: Build) -> Build:
        if name in _CATALOG:
            raise ValueError(f"two network families are called {name!r}")
        _CATALOG[name] = build
        _VARIANTS[name] = ({}, *variants)
        return build

    return enter


def catalog() -> dict[str, Build]:
    """Every network family by name."""
    for module in pkgutil.iter_modules(robeval.zoo.archs.__path__):
        importlib.import_module(f"robeval.zoo.archs.{module.name}")
    return dict(sorted(_CATALOG.items()))


def variants() -> list[tuple[str, Mapping[str, Any]]]:
    """Every network family with each of its well-known keywords."""
    return [(name, params) for name in catalog() for params in _VARIANTS[name]]


def build(name: str, params: Mapping[str, Any], shape: tuple[int, int, int], num_classes: int, where: str) -> nn.Module:
    """A freshly initialised network.

    Raises:
        UserError: unknown family or keyword, a value that does not fit, or a shape it cannot take.
    """
    known = catalog()
    if name not in known:
        raise UserError(f"unknown architecture '{name}'", where=where, fix=nearest(name, known))
    keywords, problems = resolve(known[name], params, f"{where}: [network] {name}")
    raise_together(problems)
    return known[name](shape, num_classes, **keywords)
