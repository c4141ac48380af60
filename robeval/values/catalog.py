"""What a package has to offer, by name."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from robeval.errors import UserError, nearest

Thing = TypeVar("Thing")


class Catalog(dict[str, Thing]):
    """Things by name, each entered by the file it stands in: a new one takes that file and nothing else.

    Args:
        package: whose files enter them; those of packages inside it too.
        kind: what one of them is called in messages.
    """

    def __init__(self, package: str, kind: str) -> None:
        super().__init__()
        self.package, self.kind = package, kind

    def enter(self, name: str, thing: Thing) -> None:
        """Put a thing under its name.

        Raises:
            ValueError: another one has it.
        """
        if name in self:
            raise ValueError(f"two {self.kind}s are called {name!r}")
        self[name] = thing

    def all(self) -> dict[str, Thing]:
        """Every thing by name, in the order of names."""
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        return dict(sorted(self.items()))

    def find(self, name: str, where: str) -> Thing:
        """The thing of that name.

        Raises:
            UserError: there is none; names the nearest.
        """
        known = self.all()
        if name not in known:
            raise UserError(f"unknown {self.kind} '{name}'", where=where, fix=nearest(name, known))
        return known[name]


def headline(function: Callable[..., Any]) -> str:
    """The first line of its docstring."""
    return (function.__doc__ or "").strip().splitlines()[0]
