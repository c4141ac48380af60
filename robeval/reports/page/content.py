"""What is on the page, of what a ledger has: tabs, tables, and a section for each model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robeval import shelf
from robeval.ledger.store import Ledger
from robeval.reports import leaderboard
from robeval.reports.page.curve import Curve, curves
from robeval.reports.page.picture import Picture
from robeval.reports.page.verdicts import Finished, finished
from robeval.values.card import ModelCard
from robeval.values.interval import wilson
from robeval.values.measurement import Measured
from robeval.values.plan import ModelPlan
from robeval.values.suite import WORST_CASE
from robeval.values.table import Table
from robeval.values.threat import spell

Pictures = Mapping[tuple[str, str], Sequence[Picture]]
Runs = Mapping[tuple[str, str], Finished]


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of samples with its 95 % interval, as fractions; NaN while it is not known, and `status` says why."""

    label: str
    share: float
    low: float
    high: float
    status: str = ""
    is_worst: bool = False


@dataclass(frozen=True, slots=True)
class PerClass:
    """Of `n` samples of one class the shares that are right when clean, and under all attacks."""

    label: int
    n: int
    natural: float
    robust: Bar


@dataclass(frozen=True, slots=True)
class Profile:
    """One model's section.

    Attributes:
        facts: what its card and the ledger say of it.
        curve_command: what would make a curve where there is none; empty if no suite is known that does.
        pictures: None if nobody asked for any.
    """

    model: str
    rank: str
    worst: str
    facts: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    classes: tuple[PerClass, ...]
    curves: tuple[Curve, ...]
    curve_command: str
    eps: float
    norm: str
    pictures: tuple[Picture, ...] | None


@dataclass(frozen=True, slots=True)
class Board:
    """A table of models that are ranked together, and their sections in the same order."""

    suite: str
    table: Table
    profiles: tuple[Profile, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """The boards of one threat model on one data set, each of one suite and number of samples."""

    dataset: str
    threat: str
    boards: tuple[Board, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the ledger does not know: cards and pictures, by (suite, model)."""

    cards: Mapping[str, ModelCard]
    pictures: Pictures | None = None


def panels(ledger: Ledger, results: pd.DataFrame, asked: Asked) -> tuple[Panel, ...]:
    """Everything on the page; `results` chooses the suites, as `measure.results` gives them."""
    runs = {(plan.group, plan.model): finished(ledger, plan) for plan in ledger.plans()}
    answers = [answer for answer in ledger.answers() if answer.question.measure == "curve"]
    found: dict[tuple[str, str], list[Board]] = {}
    for part in leaderboard.parts(results):
        last = part.iloc[-1]
        key = f"{last.dataset} ({last.split})", f"{last.norm} {spell(float(last.eps))}"
        found.setdefault(key, []).append(_board(part, runs, answers, asked))
    return tuple(Panel(*key, tuple(boards)) for key, boards in found.items())


def _board(part: pd.DataFrame, runs: Runs, answers: Sequence[Measured], asked: Asked) -> Board:
    suite = str(part.suite.iloc[0])
    table = leaderboard.board(part, suite)
    worst = table.header.index(leaderboard.WORST)
    profiles = []
    for line in table.rows:
        rank, model = line[:2]
        run = runs[suite, model]
        about = run.plan
        profiles.append(
            Profile(
                model=model,
                rank=rank,
                worst=line[worst],
                facts=_facts(asked.cards.get(model), line[-1]),
                bars=_bars(part[part.model == model]),
                classes=_classes(run),
                curves=_curves(run, runs, answers),
                curve_command=_curve_command(about),
                eps=about.threat.eps,
                norm=about.threat.norm,
                pictures=None if asked.pictures is None else tuple(asked.pictures.get((suite, model), ())),
            )
        )
    return Board(suite, table, tuple(profiles))


def _curve_command(plan: ModelPlan) -> str:
    """Of this suite if its attacks look for the nearest image, else of the white-box suite, which does everywhere."""
    other = f"whitebox_{plan.dataset}_{plan.threat.norm}"
    known = any(plan.seeks(row) for row in plan.rows)
    suite = plan.suite if known else other if other in shelf.names(shelf.SUITES) else ""
    return f"robeval measure curve --suite {suite} --model {plan.model}" if suite else ""


def _curves(run: Finished, runs: Runs, answers: Sequence[Measured]) -> tuple[Curve, ...]:
    """Of all that the ledger has of the same model and split, not of this suite alone."""
    about = run.plan
    fitting = [
        answer
        for answer in answers
        if answer.question.model == about.model
        and (data := answer.question.data)
        and (data.dataset, data.split) == (about.dataset, about.split)
    ]
    return curves([each for each in runs.values() if _same_data(each, run)], fitting, about.threat.norm)


def _same_data(one: Finished, other: Finished) -> bool:
    """Whether both are about one model, split and source of images."""
    alike = ("model", "dataset", "split", "source")
    return all(getattr(one.plan, name) == getattr(other.plan, name) for name in alike)


def _facts(card: ModelCard | None, made_with: str) -> tuple[tuple[str, str], ...]:
    """Names and texts, without those that are not known."""
    facts: list[tuple[str, str]] = []
    if card:
        params = ", ".join(f"{key} {value}" for key, value in card.network.params.items())
        facts += [("model", card.title), ("network", card.network.arch + (f" ({params})" if params else ""))]
        facts += [("trained by", _training(card.training)), ("meant for", str(card.threat or ""))]
        facts += [("paper", card.paper)]
    facts += [("audit", leaderboard.NOT_AUDITED), ("made with", made_with)]
    return tuple(fact for fact in facts if fact[1])


def _training(training: Mapping[str, Any]) -> str:
    chosen = ("beta", "norm", "eps", "steps", "epochs")
    said = [f"{name} {training[name]}" for name in chosen if name in training]
    return ", ".join([str(training["method"]), *said]) if "method" in training else ""


def _bars(rows: pd.DataFrame) -> tuple[Bar, ...]:
    """One for each attack, the worst case first."""
    bars = [
        Bar(
            leaderboard.label(row["attack"], row["part_of"]),
            row["robust_accuracy"],
            row["ci_low"],
            row["ci_high"],
            "" if row["status"] == "complete" else row["status"],
            row["attack"] == WORST_CASE,
        )
        for row in rows.to_dict("records")
    ]
    return tuple(sorted(bars, key=lambda bar: not bar.is_worst))


def _classes(run: Finished) -> tuple[PerClass, ...]:
    """One for each class that occurs; none while the worst case is not finished."""
    broken = run.worst()
    if broken is None:
        return ()
    (first, *_) = run.verdicts.values()
    natural = first.clean_predicted == first.label
    found = []
    for label in np.unique(first.label):
        of_class = first.label == label
        n, robust = int(of_class.sum()), int((~broken & of_class).sum())
        bar = Bar(str(label), robust / n, *wilson(robust, n))
        found.append(PerClass(int(label), n, float(natural[of_class].mean()), bar))
    return tuple(found)
