"""Which network families there are."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from robeval.errors import UserError, raise_together
from robeval.values.catalog import Catalog
from robeval.values.parameters import resolve

Build = Callable[..., nn.Module]
Shapes = Mapping[str, tuple[int, ...]]
Settings = Callable[[Shapes], Iterable[Mapping[str, Any]]]

_CATALOG: Catalog[Build] = Catalog("robeval.zoo.archs", "architecture")
_SETTINGS: dict[str, Settings] = {}


def arch(name: str, settings: Settings = lambda _: [{}]) -> Callable[[Build], Build]:
    """Enter a building function `(shape, num_classes, *, ...) -> nn.Module` under `name`.

    `shape` is (channels, height, width); the keywords are the keys of a card's `[network]` section.

    Args:
        settings: from the shapes of weights by name to the keywords of the network they are of, as far as the shapes
            tell; several, the likeliest first, where they leave it open. For weights of another family it may return
            anything, or raise a LookupError.
    """

    def enter(build: Build) -> Build:
        _CATALOG.enter(name, build)
        _SETTINGS[name] = settings
        return build

    return enter


def catalog() -> dict[str, Build]:
    """Every network family by name."""
    return _CATALOG.all()


def settings(name: str, shapes: Shapes) -> list[Mapping[str, Any]]:
    """The keywords with which a network of the family might have weights of these shapes, the likeliest first."""
    try:
        return list(_SETTINGS[name](shapes))
    except LookupError:
        return []


def blocks(shapes: Shapes, prefix: str) -> int:
    """How many parts of a network are numbered behind this prefix of names."""
    numbers = (re.match(re.escape(prefix) + r"(\d+)[./]", name) for name in shapes)
    return len({each[1] for each in numbers if each})


def build(name: str, params: Mapping[str, Any], shape: tuple[int, int, int], num_classes: int, where: str) -> nn.Module:
    """A freshly initialised network.

    Raises:
        UserError: unknown family or keyword, a value that does not fit, or a shape it cannot take.
    """
    family = _CATALOG.find(name, where)
    keywords, problems = resolve(family, params, f"{where}: [network] {name}")
    raise_together(problems)
    try:
        return family(shape, num_classes, **keywords)
    except RuntimeError as error:
        found = f"'{name}' cannot take {' x '.join(map(str, shape))} images: {str(error).splitlines()[0]}"
        fix = "Take a network with fewer layers, or set 'padding = 1' where it has that key."
        raise UserError(found, where=f"{where}: [network]", fix=fix) from None
