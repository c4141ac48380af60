"""How much of an image classifier's accuracy survives an adversary."""

from typing import TYPE_CHECKING, Any

from robeval.errors import UserError
from robeval.version import VERSION

if TYPE_CHECKING:
    from robeval.api import Evaluation, evaluate
    from robeval.measuring import Measurement, measure

__version__ = VERSION
__all__ = ["Evaluation", "Measurement", "UserError", "__version__", "evaluate", "measure"]


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used, so that `import robeval` needs no torch."""
    if name in ("Evaluation", "evaluate"):
        from robeval import api

        return getattr(api, name)
    if name in ("Measurement", "measure"):
        from robeval import measuring

        return getattr(measuring, name)
    raise AttributeError(f"module 'robeval' has no attribute {name!r}")
