"""What an adversary may do to an image."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Norm = Literal["linf", "l2", "l1"]
NORMS: tuple[str, ...] = get_args(Norm)


@dataclass(frozen=True, slots=True)
class ThreatModel:
    """All images within `eps` of the clean one, measured in `norm`, with pixels inside `box`.

    `eps` is in pixel units: images are in [0, 1], so 8/255 and never 8.
    """

    norm: Norm
    eps: float
    box: tuple[float, float] = (0.0, 1.0)

    def __str__(self) -> str:
        return f"{self.norm} {spell(self.eps)}"


def spell(number: float) -> str:
    """A radius as people write it: "8/255" rather than 0.03137254901960784; `parse_number` reads it back exactly."""
    steps = round(number * 255)
    fraction = f"{steps}/255" if steps / 255 == number else ""
    return min(filter(None, (fraction, repr(number))), key=len)


def parse_number(given: object) -> float | None:
    """A number written as such or as a fraction ("8/255"); None if it is neither or not finite."""
    try:
        if isinstance(given, str):
            top, _, bottom = given.partition("/")
            number = float(top) / float(bottom) if bottom else float(top)
        elif isinstance(given, int | float) and not isinstance(given, bool):
            number = float(given)
        else:
            return None
    except (ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
