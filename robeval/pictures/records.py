"""What a ledger has for a picture, and only such rows together as can stand beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.values.measurement import Measured

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class About:
    """What a row of the ledger is about; no model where it is about data."""

    model: str
    suite: str
    dataset: str
    split: str
    n: int
    seed: int

    @property
    def data(self) -> str:
        """`digits (test), n = 602`."""
        return f"{self.dataset} ({self.split}), n = {self.n}"

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.model, self.suite, self.data, f"seed {self.seed}")))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a picture is to be about; everything where nothing is given."""

    models: tuple[str, ...] = ()
    suite: str | None = None
    dataset: str | None = None
    split: str | None = None
    n: int | None = None
    seed: int | None = None

    def fits(self, about: About) -> bool:
        """Whether a row is wanted."""
        names = ("suite", "dataset", "split", "n", "seed")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.models and about.model not in self.models:
            return False
        return all(getattr(about, name) == value for name, value in given.items())


@dataclass(frozen=True, slots=True)
class Records:
    """A ledger, of which only some rows are wanted."""

    ledger: Ledger
    asked: Wanted

    def answers(self, measure: str, command: str) -> list[Measured]:
        """The wanted answers of one measure, in the order of the wanted models, else of names.

        Args:
            command: what makes one, with MODEL, SUITE and DATASET where these are to be filled in.

        Raises:
            UserError: there are none, or none of a wanted model; says which command makes them.
        """
        known = [each for each in self.ledger.answers() if each.question.measure == measure]
        return self.wanted(measure, known, of_answer, command)

    def wanted(self, what: str, items: Sequence[Item], about: Callable[[Item], About], command: str) -> list[Item]:
        """Those of some items that are wanted; the rest as in `answers`."""
        where = f"ledger {self.ledger.root}"
        if not items:
            raise UserError(f"it has no '{what}' yet", where=where, fix=f"Make one: {self._filled(command)}")
        found = [item for item in items if self.asked.fits(about(item))]
        there = {about(item).model for item in found}
        missing = [name for name in self.asked.models if name not in there]
        if missing or not found:
            listed = "\n".join(f"  - {line}" for line in sorted({str(about(item)) for item in items}))
            lacks = f"it has no '{what}' of {', '.join(missing) or 'that'}; it has\n{listed}"
            fix = f"Choose among these, or make it: {self._filled(command, missing)}"
            raise UserError(lacks, where=where, fix=fix)
        places = {name: place for place, name in enumerate(self.asked.models)}
        return sorted(found, key=lambda item: (places.get(about(item).model, 0), str(about(item))))

    def _filled(self, command: str, models: Sequence[str] = ()) -> str:
        model = (*models, *self.asked.models, "MODEL")[0]
        names = {"MODEL": model, "SUITE": self.asked.suite or "SUITE", "DATASET": self.asked.dataset or "DATASET"}
        words = [names.get(word, word) for word in command.split()]
        return " ".join([*words, "--out", str(self.ledger.root)])


def of_answer(answer: Measured) -> About:
    """What an answer is about."""
    question, data = answer.question, answer.question.data
    n = max((finding.n for finding in answer.findings), default=0)
    dataset, split = (data.dataset, data.split) if data else ("", "")
    return About(question.model, question.suite, dataset, split, n, question.seed)


def together(items: Sequence[Item], describe: Callable[[Item], str], options: str) -> str:
    """What is the same of all items, in words.

    Args:
        options: with which one of several is chosen.

    Raises:
        UserError: it is not the same of all, so that they cannot stand in one picture.
    """
    kinds = list(dict.fromkeys(map(describe, items)))
    if len(kinds) > 1:
        listed = "\n".join(f"  - {each}" for each in kinds)
        found = f"these cannot stand beside each other in one picture:\n{listed}"
        raise UserError(found, where="show", fix=f"Choose with {options}.")
    return kinds[0]
