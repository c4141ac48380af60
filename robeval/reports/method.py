"""One method's results over all data sets and threat models, and what was printed of it, kept apart."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from robeval.reports import leaderboard
from robeval.values.card import ModelCard
from robeval.values.paper import ACCURACIES, PaperTable
from robeval.values.suite import WORST_CASE
from robeval.values.table import Table
from robeval.values.threat import spell

COLUMNS = (
    "status", "model", "dataset", "threat", "suite", "what", "rank", "of", "natural", "value", "low", "high", "n",
    "audit", "source", "printed",
)  # fmt: skip
MEASURED, PUBLISHED = "measured", "published"
NATURAL = "natural_accuracy"

Belongs = Callable[[str], bool]  # whether a model is of the method that is asked for


def belongs(card: ModelCard | None, method: str, said: str = "", *, is_variant: bool = False) -> bool:
    """Whether a model is one of a method: its card trains by it, a paper's table says so, or the card's title does.

    The id of a model says nothing: in those of a paper's networks the first word is often the paper's own method.

    Args:
        said: what the papers' tables say that the model was trained by; empty if they do not.
        is_variant: the method is none that cards or tables train by, but what a paper calls some of its networks, as
            R-MC-LA: the title has it, whatever they say.
    """
    trained = str(card.training.get("method", "")) if card else ""
    if (trained or said) and not is_variant:
        return _words(trained or said) == _words(method)
    title = " ".join(_words(card.title)) if card else ""
    return bool(_words(method)) and f" {' '.join(_words(method))} " in f" {title} "


def known(cards: Mapping[str, ModelCard], papers: Iterable[PaperTable]) -> list[str]:
    """The methods that cards and papers' tables name."""
    named = {str(card.training["method"]) for card in cards.values() if "method" in card.training}
    return sorted(named | set(_said(papers).values()))


def _said(papers: Iterable[PaperTable]) -> dict[str, str]:
    """What the papers' tables say that their own models were trained by."""
    asks = (
        (cell.method, ask) for paper in papers for cell in paper.cells for ask in cell.asks.get("paper", {}).values()
    )
    return {ask.model: method for method, ask in asks if method and ask.model}


def _labelled(papers: Iterable[PaperTable], name: str) -> set[str]:
    """The models in rows that the papers' tables label so, as AT; a label may go on after a comma."""
    cells = (cell for paper in papers for cell in paper.cells if _words(cell.row.partition(",")[0]) == _words(name))
    return {ask.model for cell in cells for ask in cell.asks.get("paper", {}).values() if ask.model and cell.method}


def results(
    measured: pd.DataFrame, cards: Mapping[str, ModelCard], papers: Iterable[PaperTable], method: str
) -> pd.DataFrame:
    """A row for each result in a ledger, with its rank among all models there, and one for each printed number.

    Accuracies are in %. Printed numbers have no rank: others have measured them, on what they chose.

    Args:
        measured: what `measure.results` gives.
        cards: all on the shelf, by id.
    """
    tables = list(papers)
    said = _said(tables)
    is_variant = all(_words(method) != _words(name) for name in known(cards, tables))

    named = _labelled(tables, method) if is_variant else set()

    def ours(model: str) -> bool:
        return (
            model in named if named else belongs(cards.get(model), method, said.get(model, ""), is_variant=is_variant)
        )

    rows = [*_measured(measured, ours), *_of_cards(cards, ours), *_of_papers(tables, cards, ours)]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.astype(dict.fromkeys(("rank", "of", "n"), "Int64"))  # whole numbers, or none


def tables(found: pd.DataFrame, method: str) -> tuple[Table, ...]:
    """The measured and the printed numbers."""
    ours, printed = (found[found.status == status].to_dict("records") for status in (MEASURED, PUBLISHED))
    measured = [
        (
            row["model"], row["dataset"], row["threat"], row["suite"], f"{row['rank']} of {row['of']}",
            f"{row['natural']:.2f}", f"{row['value']:.2f} [{row['low']:.1f},{row['high']:.1f}]", str(row["n"]),
            row["audit"], row["source"],
        )
        for row in ours
    ]  # fmt: skip
    lines = [
        (row["model"], row["dataset"], row["threat"], row["what"], "published", row["printed"], row["source"])
        for row in printed
    ]
    head = "model", "data set", "threat model", "suite", "rank", "natural", leaderboard.WORST, "n", "audit", "made with"
    notes = ("ranks are among the models of this ledger, in the same threat model on the same samples",)
    caption = f"{method}: measured, robust accuracy in % over the worst case of all attacks"
    made = [Table(caption, head, tuple(measured), notes)] if measured else []
    if lines:
        header = "model", "data set", "threat model", "what", "status", "%", "source"
        why = ("published numbers are not ranked: others chose the attacks, the samples and the last digit",)
        made.append(Table(f"{method}: published", header, tuple(lines), why))
    return tuple(made)


def _measured(measured: pd.DataFrame, ours: Belongs) -> Iterator[dict[str, Any]]:
    for part in leaderboard.parts(measured):
        worst = part[(part.attack == WORST_CASE) & (part.status == "complete")]
        for row in worst.to_dict("records"):
            if ours(row["model"]):
                yield {
                    "status": MEASURED, "model": row["model"], "dataset": f"{row['dataset']} ({row['split']})",
                    "threat": f"{row['norm']} {spell(row['eps'])}", "suite": row["suite"], "what": "worst case",
                    "rank": int(row["rank"]), "of": len(worst), "natural": 100 * row["natural_accuracy"],
                    "value": 100 * row["robust_accuracy"], "low": 100 * row["ci_low"], "high": 100 * row["ci_high"],
                    "n": row["n"], "audit": leaderboard.NOT_AUDITED, "source": row["made_with"],
                }  # fmt: skip


def _of_cards(cards: Mapping[str, ModelCard], ours: Belongs) -> Iterator[dict[str, Any]]:
    for card in cards.values():
        for each in card.published if ours(card.id) else ():
            yield _printed(card.id, card, each.metric, str(each.value), each.value, each.source)


def _of_papers(papers: Iterable[PaperTable], cards: Mapping[str, ModelCard], ours: Belongs) -> Iterator[dict[str, Any]]:
    """Accuracies in the papers' tables of models that are the method's; one that stands in many rows once."""
    once: set[tuple[str, ...]] = set()
    for paper in papers:
        for cell in paper.cells:
            asks = [ask for ask in cell.asks.get("paper", {}).values() if ask.metric in ACCURACIES and not ask.minus]
            own = [ask for ask in asks if ours(ask.model)]
            if not own or cell.number is None or cell.unit != "%":
                continue
            ask = own[0]
            place = () if ask.metric == NATURAL else (ask.suite, ask.attack, ask.source)
            if (key := (ask.model, ask.metric, cell.published, *place)) not in once:
                once.add(key)
                what, source = f"{cell.row}: {cell.column}", cell.quoted or paper.cite
                yield _printed(ask.model, cards.get(ask.model), what, cell.published, cell.number, source)


def _printed(model: str, card: ModelCard | None, what: str, printed: str, value: float, source: str) -> dict[str, Any]:
    about = {"dataset": card.dataset, "threat": str(card.threat or "")} if card else {"dataset": "", "threat": ""}
    return {
        "status": PUBLISHED, "model": model, "suite": "", "what": what, "value": value, "source": source,
        "printed": printed, **about,
    }  # fmt: skip


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
