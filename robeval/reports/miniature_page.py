"""The miniature of the papers' tables, over several seeds, on one Markdown page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import pandas as pd

from robeval.reports.miniature import Check, Miniature, Shown
from robeval.reports.render import markdown
from robeval.values.paper import ACCURACIES, Ask, PaperCell, PaperTable
from robeval.values.table import Table

_HEAD = """# {title}

Made by `make miniature` (`robeval miniature`) from its ledgers; do not edit. Every model is trained from {count} on the
1,195 training images of the digits data set and attacked on its 602 test images. Networks are small, images few and of
8x8 pixels: only the order of the rows, and what masked gradients do to it, can be compared with the papers. Measured
accuracies are in %, the mean over the seeds ± their standard deviation; "published" is what the paper prints at its own
scale.
"""
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an expectation: the sum, or the lowest, for each seed, if every accuracy in it is there.

    Attributes:
        about: the accuracies in it, each "MODEL ATTACK"; of the lowest, those alone that are the lowest with a seed.
    """

    check: Check
    values: tuple[float, ...]
    about: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the mean over the seeds is where it is expected; the lowest is to be there with every seed."""
        values = self.values if self.check.lowest else self.values and (mean(self.values),)
        return bool(values) and all(map(self.check.holds, values))

    @property
    def verdict(self) -> str:
        """In a word."""
        if not self.values:
            return "not measured"
        return "pass" if self.passed else "FAIL"


class Figures:
    """The accuracies of several ledgers, one for each seed, in percent.

    Args:
        results: of each ledger, as `measure.results` gives them.
    """

    def __init__(self, results: Iterable[pd.DataFrame]) -> None:
        self._seeds = [
            {(row["suite"], row["model"], row["attack"]): row for row in each.to_dict("records")} for each in results
        ]

    def of(self, ask: Ask) -> tuple[float, ...]:
        """The accuracy with each seed; nothing where one does not have it, or not whole."""
        rows = [seed.get((ask.group, ask.model, ask.attack)) for seed in self._seeds]
        if any(row is None or row["status"] != "complete" for row in rows):
            return ()
        return tuple(100 * float(row[ask.metric]) for row in rows if row is not None)


def asks(table: PaperTable, shown: Shown) -> dict[str, dict[str, tuple[PaperCell, Ask]]]:
    """By row and column, each printed accuracy of one model that has a miniature, and where its figure is.

    Of several readings the first is taken; accuracies on another model's images are left out, and differences.
    """
    found: dict[str, dict[str, tuple[PaperCell, Ask]]] = {}
    for cell in table.cells:
        ask = next(iter(cell.asks.get("digits", {}).values()), None)
        if ask is None or ask.finding or ask.minus or ask.source or ask.metric not in ACCURACIES:
            continue
        if not {cell.row, cell.column} & set(shown.without):
            found.setdefault(cell.row, {})[cell.column] = cell, ask
    return found


def alike(miniature: Miniature, shown: Shown, row: Mapping[str, tuple[PaperCell, Ask]]) -> list[Ask]:
    """What is asked of the model of a row beside what its table asks."""
    model = next(iter(row.values()))[1].model
    return [Ask("robust_accuracy", model, miniature.suite, attack) for attack in shown.attacks]


def expected(miniature: Miniature, text: str) -> Ask:
    """Where the figure is that an expectation calls "MODEL ATTACK", or "MODEL SUITE/ATTACK"."""
    model, attack = text.split()
    suite, _, attack = attack.rpartition("/")
    return Ask("robust_accuracy", model, suite or miniature.suite, attack)


def named(miniature: Miniature, check: Check) -> list[str]:
    """The accuracies in an expectation, each "MODEL ATTACK"."""
    if check.lowest:
        return [f"{model} {check.lowest}" for model in miniature.recipes if model not in check.but]
    return [*check.plus, *check.minus]


def outcomes(miniature: Miniature, figures: Figures) -> list[Outcome]:
    """What became of each expectation."""
    found = []
    for check in miniature.checks:
        about = named(miniature, check)
        every = [figures.of(expected(miniature, text)) for text in about]
        seeds = list(zip(*every)) if all(every) else []  # of each seed, the accuracies
        if check.lowest:
            about = list(dict.fromkeys(about[seed.index(min(seed))] for seed in seeds))
            values = [min(seed) for seed in seeds]
        else:
            values = [sum(seed[: len(check.plus)]) - sum(seed[len(check.plus) :]) for seed in seeds]
        found.append(Outcome(check, tuple(values), tuple(about)))
    return found


def page(
    miniature: Miniature, tables: Sequence[tuple[PaperTable, Shown]], figures: Figures, seeds: Sequence[int], cost: str
) -> str:
    """The page; `cost` says what it took."""
    count = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    found = outcomes(miniature, figures)
    few = [f"Of the suite {name} only the first {n} test images are attacked.\n" for name, n in miniature.first.items()]
    parts = [_HEAD.format(title=miniature.title, count=count), *few, cost + "\n"]
    parts += [markdown.render(_expectations(miniature, found)), markdown.render(_accuracies(miniature, figures, found))]
    parts += [markdown.render(_table(miniature, *each, figures)) for each in tables]
    return "\n".join(parts)


def _expectations(miniature: Miniature, found: Sequence[Outcome]) -> Table:
    rows = tuple(
        (each.check.says, _sum(each.check), each.check.bound, shown(each.values), each.verdict) for each in found
    )
    header = ("expected", "the sum of", "is", "measured", "")
    return Table("What is expected, in percentage points", header, rows, miniature.notes)


def _accuracies(miniature: Miniature, figures: Figures, found: Sequence[Outcome]) -> Table:
    """Those that the expectations are about."""
    names = {text for each in found for text in each.about}
    rows = tuple((*text.split(), shown(figures.of(expected(miniature, text)))) for text in sorted(names))
    return Table("What the expectations are about, in %", ("model", "attack", "robust accuracy"), rows)


def _sum(check: Check) -> str:
    if check.lowest:
        but = f" but {', '.join(check.but)}" if check.but else ""
        return f"the lowest {check.lowest} of all models{but}, with every seed"
    return ", ".join([*check.plus, *(f"minus {each}" for each in check.minus)])


def _table(miniature: Miniature, table: PaperTable, about: Shown, figures: Figures) -> Table:
    rows = asks(table, about)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    header = ("", *(text for column in columns for text in (f"published: {column}", column)), *about.attacks)
    lines = []
    for label, row in rows.items():
        cells = [label]
        for column in columns:
            cell, ask = row.get(column, (None, None))
            cells += [cell.published if cell else "", shown(figures.of(ask)) if ask else ""]
        lines.append((*cells, *(shown(figures.of(ask)) for ask in alike(miniature, about, row))))
    return Table(f"{table.id}: {table.title}", header, tuple(lines), (table.cite,))


def shown(values: Sequence[float]) -> str:
    """Mean and standard deviation over the seeds."""
    if not values:
        return _NONE
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
