"""What is asked about a model or a data set beside its robust accuracy, and what was found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from robeval.values.cell import DataSlice
from robeval.values.digest import digest

Columns = Mapping[str, NDArray[Any]]

AT_MOST = "_at_most"  # ends the metric of a number that is only known to be no less than the true one


@dataclass(frozen=True, slots=True)
class Finding:
    """One number.

    Attributes:
        metric: what it is.
        low, high: its 95 % interval; NaN where it has none, as minima and closed forms.
        n: of how many samples it was made; 0 where it is a closed form.
        at: where on a curve, or about which of the samples; empty if about all.
    """

    metric: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    at: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A measure with its parameters, and what it is measured of.

    Attributes:
        measure: its name in the catalog.
        params: its keywords, all of them.
        model, weights: name of the model and digest of all that computes its logits; empty if there is none.
        data: the samples; None if there are none.
        reference: digest of the images that they are compared with.
        suite: the suite whose verdicts it is made of.
        cells: keys of the cells that hold these verdicts.
        seed: of every random draw.
        version: of the measure's code; raised when a fix changes results.
    """

    measure: str
    params: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    weights: str = ""
    data: DataSlice | None = None
    reference: str = ""
    suite: str = ""
    cells: tuple[str, ...] = ()
    seed: int = 0
    version: int = 1

    @property
    def key(self) -> str:
        """A hash of all that can change the answer."""
        return digest(self)

    @property
    def subject(self) -> str:
        """What it is measured of, for people: `net on digits (test)`."""
        data = f"{self.data.dataset} ({self.data.split})" if self.data else ""
        about = " on ".join(filter(None, (self.model, data)))
        return f"{about}, {self.suite}" if self.suite else about or "theory"


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer.

    Attributes:
        columns: what the findings were made of, one row per sample: arrays of equal length, (n,) or (n, m).
    """

    question: Question
    findings: tuple[Finding, ...]
    columns: Columns = field(default_factory=dict)
    seconds: float = 0.0
    made_with: Mapping[str, str] = field(default_factory=dict)
