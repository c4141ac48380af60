"""Which attack with which numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from robeval.values.digest import plain
from robeval.values.threat import ThreatModel

Param = int | float | bool | str
Select = Literal["final", "best", "any"]
SELECTS: tuple[str, ...] = get_args(Select)
Score = Literal["threshold", "project", "native"]
SCORES: tuple[str, ...] = get_args(Score)


@dataclass(frozen=True, slots=True)
class AttackSpec:
    """One entry of a suite.

    Attributes:
        id: what the suite calls it; shown in tables.
        use: the name of the attack in the catalog.
        threat: norm, radius and pixel box.
        params: keywords of the attack function.
        restarts: how often it is tried on the samples still standing.
        select: which iterate counts: the last (`final`, as the papers do), the one of highest attack
            loss (`best`), or any that is broken (`any`, the worst case).
        minimises: the norm that a minimal-distance attack makes small; empty for attacks that stay in the ball.
        score: when a minimal-distance attack has broken a sample of the threat model: its candidate is within
            eps (`threshold`), or still wrong after projection onto the ball (`project`); `native` is `threshold`
            with the assurance that the threat's norm is the one minimised.
        eot: passes whose average each logit, loss and gradient is (expectation over transformation), for models
            that draw random numbers.
        version: version of the attack's code; raised when a fix changes results.
    """

    id: str
    use: str
    threat: ThreatModel
    params: Mapping[str, Param] = field(default_factory=dict)
    restarts: int = 1
    select: Select = "final"
    minimises: Literal["", "linf", "l2", "l1"] = ""
    score: Score = "threshold"
    eot: int = 1
    version: int = 1

    def identity(self) -> dict[str, object]:
        """All that can change the answer; the id cannot."""
        return {name: value for name, value in plain(self).items() if name != "id"}

    def settings(self) -> str:
        """The keywords of the attack in one line: `steps=40 step_size=0.01`."""
        return " ".join(f"{name}={_shown(value)}" for name, value in self.params.items() if value is not None)


def stay(attacks: Iterable[AttackSpec], threat: ThreatModel) -> bool:
    """Whether what breaks a sample under these attacks breaks it in the threat model too."""
    return all(spec.threat.norm == threat.norm and spec.threat.eps <= threat.eps for spec in attacks)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower()
