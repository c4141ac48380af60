"""How much of an image classifier's accuracy survives an adversary."""

from typing import TYPE_CHECKING, Any

from robeval.errors import UserError
from robeval.version import VERSION

if TYPE_CHECKING:
    from robeval.api import Evaluation, evaluate

__version__ = VERSION
__all__ = ["Evaluation", "UserError", "__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used, so that `import robeval` needs no torch."""
    if name in ("Evaluation", "evaluate"):
        from robeval import api

        return getattr(api, name)
    raise AttributeError(f"module 'robeval' has no attribute {name!r}")
