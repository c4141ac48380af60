"""A table that somebody printed, and where a ledger has the same numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from robeval.values.card import ModelCard

Scale = Literal["paper", "digits"]
SCALES: tuple[str, ...] = get_args(Scale)

STAND_IN = "stand_in"  # the reading whose networks are others than those of the paper

ACCURACIES = ("natural_accuracy", "robust_accuracy")


@dataclass(frozen=True, slots=True)
class Ask:
    """Where the number of one cell is to be found.

    Attributes:
        metric: `natural_accuracy` or `robust_accuracy` of one attack of a suite on a model; `mean_cross_entropy` of one
            whose images are made on a source; else that of a measure.
        model, suite, attack: ids of a card, a suite and one of its attacks.
        source: id of the model that the images are made on (transfer).
        finding: what a row of the ledger's measures must say (`robeval measure`); in place of suite and attack.
        minus: the number that is taken off.
    """

    metric: str
    model: str = ""
    suite: str = ""
    attack: str = ""
    source: str = ""
    finding: Mapping[str, Any] = field(default_factory=dict)
    minus: "Ask | None" = None

    @property
    def is_accuracy(self) -> bool:
        """Whether the number is among the results of attacks."""
        return not self.finding and self.metric in ACCURACIES

    @property
    def group(self) -> str:
        """What the ledger calls the suite, made on the source if there is one."""
        return f"{self.suite} from {self.source}" if self.source else self.suite


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model of the miniature that is trained here: the card it is like, and what of it is different."""

    like: str
    training: Mapping[str, Any]
    network: Mapping[str, Any] = field(default_factory=dict)

    def card(self, name: str, like: ModelCard) -> ModelCard:
        """The card, without weights, that the model called `name` is trained from; `like` is the one it is like."""
        training = {**like.training, **self.training}
        network = replace(like.network, params={**like.network.params, **self.network})
        title = f"{like.title}; in miniature, for tables"
        own = replace(like, id=name, title=title, network=network, training=training)
        return replace(own, checkpoint=None, published=(), measured=(), where="")


@dataclass(frozen=True, slots=True)
class PaperCell:
    """One printed number.

    Attributes:
        row, column: what they are called where they are shown.
        published: as printed; empty if nothing is.
        spread: the printed figure after ±.
        unit: "%" for accuracies, or what else the number is in.
        tolerance: how far apart two numbers may be before they count as different, in that unit.
        notes: what is known about it.
        needs: what measuring it takes that this project does not bring.
        quoted: whose number it is, if the paper has not measured it itself.
        method: what the paper's model was trained by, as a card's [training] would say.
        left_out: why its miniature is not on the page of all tables, where it is not.
        asks: for each scale, and in it for each reading, where the number is; those that have none are left out.
    """

    row: str
    column: str
    published: str
    spread: str = ""
    unit: str = "%"
    tolerance: float = 0.0
    notes: tuple[str, ...] = ()
    needs: str = ""
    quoted: str = ""
    method: str = ""
    left_out: str = ""
    asks: Mapping[str, Mapping[str, Ask]] = field(default_factory=dict)

    @property
    def number(self) -> float | None:
        """The published number, if it is one."""
        try:
            top, _, bottom = self.published.partition("/")
            return float(top) / float(bottom) if bottom else float(top)
        except ValueError:
            return None

    @property
    def half_unit(self) -> float:
        """Half of the last printed digit: what rounding may have taken away."""
        mantissa, _, exponent = self.published.lower().partition("e")
        decimals = len(mantissa.partition(".")[2])
        return 0.0 if "/" in mantissa else 0.5 * 10.0 ** (int(exponent or 0) - decimals)


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A published table.

    Attributes:
        cite: the paper and the place in it.
        readings: the ways in which its numbers can be measured, by name; one without a name if there is one only.
        notes: about the whole table.
        recipes: the models of the miniature that are trained here, by their id.
        where: the file it was read from.
    """

    id: str
    title: str
    cite: str
    cells: tuple[PaperCell, ...]
    readings: Mapping[str, str]
    notes: tuple[str, ...] = ()
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    where: str = ""

    def on_the_page(self, scale: str) -> "PaperTable":
        """The table with the cells that the page of all tables is to have measured at a scale."""
        return replace(self, cells=tuple(cell for cell in self.cells if scale == "paper" or not cell.left_out))

    def asks(self, scale: str) -> list[Ask]:
        """Every number that the table wants of a ledger, each once, those that are taken off included."""
        found: list[Ask] = []
        for cell in self.cells:
            for ask in cell.asks.get(scale, {}).values():
                found += [each for each in (ask, ask.minus) if each is not None and each not in found]
        return found
