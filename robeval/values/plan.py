"""What a suite wants of models: the cells, and which of them make up one row of a table."""

from dataclasses import dataclass

from robeval.values.attack import AttackSpec, stay
from robeval.values.cell import Cell, Verdicts
from robeval.values.threat import ThreatModel


@dataclass(frozen=True, slots=True)
class Row:
    """One chain of attacks on one model: a row of the results.

    Attributes:
        keys: of the chain's cells, slice by slice; the last cell of a slice has the chain's verdicts.
    """

    id: str
    attacks: tuple[AttackSpec, ...]
    keys: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """All that one suite wants of one model, recorded beside the cells so that a table can be made of them.

    Attributes:
        source: name of the model whose gradients the attacks see (transfer); empty if the model's own.
        warnings: what makes the numbers doubtful.
    """

    suite: str
    title: str
    dataset: str
    split: str
    threat: ThreatModel
    model: str
    n: int
    seed: int
    rows: tuple[Row, ...]
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """What the plans are called whose models stand beside each other in one table."""
        return f"{self.suite} from {self.source}" if self.source else self.suite

    def counts(self, row: Row) -> bool:
        """Whether what breaks a sample in this row breaks it in the suite's threat model too."""
        return stay(row.attacks, self.threat)

    def seeks(self, row: Row) -> bool:
        """Whether the row is of an attack that looks for the nearest image in the suite's norm, in its ball or not."""
        (first, *others) = row.attacks
        return not others and first.minimises == first.threat.norm == self.threat.norm and first.score != "project"

    @property
    def name(self) -> str:
        """What its record is called."""
        return f"{self.suite}--{self.model}" + (f"--from--{self.source}" if self.source else "")


@dataclass(frozen=True, slots=True)
class Task:
    """The cells of one chain on one slice, in order, and the verdicts of the cell before the first."""

    cells: tuple[Cell, ...]
    before: Verdicts | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Every cell of a run, and how they make up tables."""

    tasks: tuple[Task, ...]
    models: tuple[ModelPlan, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order they are run."""
        return tuple(cell for task in self.tasks for cell in task.cells)
