"""Verdicts -> accuracies with their intervals, per attack and for the worst case over attacks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robeval.ledger.store import Ledger
from robeval.reports.paired import ranks
from robeval.values.attack import AttackSpec
from robeval.values.cell import CellResult
from robeval.values.interval import wilson
from robeval.values.plan import ModelPlan, Row
from robeval.values.suite import WORST_CASE

COLUMNS = (
    "suite", "model", "dataset", "split", "norm", "eps", "attack", "part_of", "use", "params", "select", "restarts",
    "minimises", "score", "eot", "source", "seed", "content",
    "n", "natural_accuracy", "robust_accuracy", "ci_low", "ci_high", "rank", "median_distance",
    "seconds", "forwards", "forwards_per_sample", "backwards", "backwards_per_sample", "escaped", "nonfinite",
    "status", "warnings", "made_with",
)  # fmt: skip


def results(ledger: Ledger, plans: Iterable[ModelPlan]) -> pd.DataFrame:
    """One row per model and attack, and one `worst_case` row per model; accuracies are fractions.

    An attack whose cells are not all finished has no accuracy; its `status` says how many are, and why.
    `seconds` is the sum over its cells; `forwards` and `backwards` are the attack's passes summed over samples,
    `forwards_per_sample` and `backwards_per_sample` their means over all `n` samples of a row that is complete, those
    included that are wrong anyway and so are never attacked.
    `content` is the digest of all images and labels that the cells were taken of.
    `rank` is among the worst cases in the same threat model on the same samples, shared by models that do not differ
    significantly (`paired.ranks`).
    """
    rows: list[dict[str, Any]] = []
    for plan in plans:
        rows += _rows(ledger, plan)
    _rank(rows)
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True, slots=True)
class Board:
    """Models whose worst cases can be compared: one suite, one threat model, the same samples.

    Attributes:
        robust: by model, which samples withstood all attacks, bool (n,), all in the same order.
    """

    suite: str
    dataset: str
    split: str
    norm: str
    eps: float
    robust: dict[str, NDArray[np.bool_]]


def boards(ledger: Ledger, plans: Iterable[ModelPlan]) -> list[Board]:
    """The models with a complete worst case, those together that can be compared."""
    rows = [row for plan in plans for row in _rows(ledger, plan)]
    return [
        Board(
            **{name: group[0][name] for name in _ONE_BOARD},
            robust={row["model"]: ~row["outcome"][1] for row in group},
        )
        for group in _comparable(rows)
    ]


_ONE_BOARD = ("suite", "dataset", "split", "norm", "eps")


def _comparable(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The complete worst cases over the same attacks in groups of one suite, one threat model, one seed and the same
    samples of the same images.
    """
    groups: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if "outcome" in row:
            ids, _, asked = row["outcome"]
            key = *(row[name] for name in (*_ONE_BOARD, "content", "seed")), ids.tobytes(), asked
            groups.setdefault(key, []).append(row)
    return list(groups.values())


def _rank(rows: list[dict[str, Any]]) -> None:
    """Fill in `rank` of every worst case that is complete."""
    for group in _comparable(rows):
        places = ranks({row["model"]: ~row["outcome"][1] for row in group})
        for row in group:
            row["rank"] = places[row["model"]]


def samples(ledger: Ledger, plans: Iterable[ModelPlan]) -> pd.DataFrame:
    """One row per model, attack and sample: the verdicts as they are stored."""
    parts = []
    for plan in plans:
        for row in plan.rows:
            parts += [
                pd.DataFrame({"suite": plan.group, "model": plan.model, "attack": row.id} | result.verdicts.columns())
                for keys in row.keys
                if (result := ledger.get(keys[-1]))  # the last cell of a chain has its verdicts
            ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(ledger: Ledger, plan: ModelPlan) -> list[dict[str, Any]]:
    """The table rows of one model, the worst case at the end."""
    rows, outcomes, shown = [], [], []
    for row in plan.rows:
        parts = [[ledger.get(key) for key in keys] for keys in row.keys]  # each file is read once
        last = [part[-1] for part in parts]
        finished = [cell for part in parts for cell in part if cell]
        measured = _measured(last, _status(ledger, row, len(finished)))
        if _minimises(row.attacks) and measured["status"] == "complete":
            measured |= {"median_distance": _median_distance(last)}
        rows.append(_named(plan, row) | measured | {"content": content(finished)} | _cost(finished))
        shown += [*_stages(plan, row, parts), rows[-1]]
        if plan.counts(row):
            outcomes.append(last)
    if outcomes:
        shown.append(_worst_case(plan, rows, outcomes))
    warnings = "; ".join(plan.warnings)
    return [row | _per_sample(row) | {"warnings": warnings} for row in shown]


def _per_sample(row: dict[str, Any]) -> dict[str, float]:
    """The mean passes of a row that is complete; of another, the cells of a chain need not be of the same samples."""
    if row["status"] != "complete":
        return {}
    return {f"{name}_per_sample": row[name] / row["n"] for name in ("forwards", "backwards")}


def _stages(plan: ModelPlan, row: Row, parts: list[list[CellResult | None]]) -> list[dict[str, Any]]:
    """One row per attack of a chain of several: what is left after it and the ones before it."""
    rows = []
    for place, spec in enumerate(row.attacks if len(row.attacks) > 1 else ()):
        stage = Row(spec.id, (spec,), tuple((keys[place],) for keys in row.keys))
        cells = [part[place] for part in parts]
        done = [cell for cell in cells if cell]
        missing = f"INCOMPLETE: {len(done)} of {len(cells)} cells"
        status = "complete" if len(done) == len(cells) else missing
        about = {"part_of": row.id, "content": content(done)}
        rows.append(_named(plan, stage) | about | _measured(cells, status) | _cost(done))
    return rows


def _named(plan: ModelPlan, row: Row) -> dict[str, Any]:
    return {
        "suite": plan.group, "model": plan.model, "dataset": plan.dataset, "split": plan.split,
        "attack": row.id, "part_of": "", "source": plan.source, "seed": plan.seed, **settings(row.attacks),
    }  # fmt: skip


def settings(attacks: Sequence[AttackSpec]) -> dict[str, Any]:
    """What a row of these attacks, one or those of a chain, says of them."""
    last, minimises = attacks[-1], _minimises(attacks)
    return {
        "norm": last.threat.norm, "eps": last.threat.eps,
        "use": " + ".join(spec.use for spec in attacks), "params": " + ".join(spec.settings() for spec in attacks),
        "select": last.select, "restarts": last.restarts,
        "minimises": minimises, "score": last.score if minimises else "", "eot": last.eot,
    }  # fmt: skip


def content(cells: Iterable[CellResult]) -> str:
    """The digest of what finished cells were taken of; empty where there are none."""
    return ", ".join(sorted({cell.cell.slice.content for cell in cells}))


def _measured(cells: list[CellResult | None], status: str) -> dict[str, Any]:
    """Accuracies over all samples, or none while a cell is missing."""
    finished = [cell.verdicts for cell in cells if cell]
    n = sum(len(verdicts.sample) for verdicts in finished)
    found: dict[str, Any] = {"n": n, "status": status}
    if status != "complete":
        return found
    broken = np.concatenate([verdicts.broken for verdicts in finished])
    natural = np.concatenate([verdicts.clean_predicted == verdicts.label for verdicts in finished])
    return found | _accuracy(broken, natural)


def _accuracy(broken: np.ndarray, natural: np.ndarray) -> dict[str, Any]:
    robust = int((~broken).sum())
    low, high = wilson(robust, len(broken))
    return {
        "natural_accuracy": float(natural.mean()),
        "robust_accuracy": robust / len(broken),
        "ci_low": low,
        "ci_high": high,
    }


def _minimises(attacks: Sequence[AttackSpec]) -> str:
    """The norm that a row's one attack makes small; empty for others and for chains of several."""
    return attacks[0].minimises if len(attacks) == 1 else ""


def _median_distance(cells: list[CellResult | None]) -> float:
    """Of the nearest misclassified images found, in the ball's norm: 0 if wrong when clean, infinite if none."""
    return float(np.median(np.nan_to_num(_joined(cells, "distance"), nan=np.inf)))


def _cost(cells: list[CellResult]) -> dict[str, Any]:
    return {
        "seconds": round(sum(cell.seconds for cell in cells), 3),
        "forwards": sum(int(cell.verdicts.queries.sum()) for cell in cells),
        "backwards": sum(int(cell.verdicts.backwards.sum()) for cell in cells),
        "escaped": sum(int(cell.verdicts.escaped.sum()) for cell in cells),
        "nonfinite": sum(int(cell.verdicts.nonfinite.sum()) for cell in cells),
        "made_with": "; ".join(sorted({_versions(cell) for cell in cells})),
    }


def _versions(cell: CellResult) -> str:
    """With what, on what and when a cell was made, as far as it says so."""
    made = cell.made_with
    parts = [f"{name} {made[name]}" for name in ("robeval", "torch") if name in made]
    return ", ".join([*parts, *(made[name] for name in ("device", "date") if name in made)])


def _status(ledger: Ledger, row: Row, done: int) -> str:
    """`complete`, or how many of the row's cells are there, and the first failure."""
    keys = [key for part in row.keys for key in part]
    if done == len(keys):
        return "complete"
    reasons = [reason for reason in map(ledger.failure, keys) if reason]
    return f"INCOMPLETE: {done} of {len(keys)} cells" + (f"; {reasons[0]}" if reasons else "")


def _worst_case(plan: ModelPlan, rows: list[dict[str, Any]], outcomes: list[list[CellResult | None]]) -> dict[str, Any]:
    """Per sample over all attacks that stay in the suite's threat model, not the least of their accuracies."""
    counted = [row for row, planned in zip(rows, plan.rows) if plan.counts(planned)]
    missing = [row["attack"] for row in counted if row["status"] != "complete"]
    made_with = sorted({each for row in counted for each in row["made_with"].split("; ") if each})
    status = f"INCOMPLETE: without {', '.join(missing)}" if missing else "complete"
    named = {
        "suite": plan.group, "model": plan.model, "dataset": plan.dataset, "split": plan.split,
        "norm": plan.threat.norm, "eps": plan.threat.eps, "attack": WORST_CASE, "part_of": "",
        "use": " | ".join(row["attack"] for row in counted), "params": "", "select": "any",
        "restarts": 1, "minimises": "", "score": "", "eot": 1, "source": plan.source, "seed": plan.seed,
        "status": status, "n": plan.n, "made_with": "; ".join(made_with),
        "content": ", ".join(sorted({row["content"] for row in counted if row["content"]})),
    }  # fmt: skip
    sums = {
        name: sum(row[name] for row in counted) for name in ("seconds", "forwards", "backwards", "escaped", "nonfinite")
    }
    if missing:
        return named | sums | {"n": min(row["n"] for row in counted)}
    broken = np.logical_or.reduce([_joined(cells, "broken") for cells in outcomes])
    natural = _joined(outcomes[0], "clean_predicted") == _joined(outcomes[0], "label")
    return (
        named
        | sums
        | _accuracy(broken, natural)
        | {"outcome": (_joined(outcomes[0], "sample"), broken, edition(counted))}
    )


def edition(rows: Iterable[Mapping[Any, Any]]) -> tuple[tuple[object, ...], ...]:
    """All that some rows say of their attacks: where it differs, a suite was changed, or only a part of it was run.

    Clean images are left out: what is wrong on them is broken under every attack.
    """
    names = ("attack", "norm", "eps", "use", "params", "select", "restarts", "minimises", "score", "eot")
    return tuple(sorted(tuple(row[name] for name in names) for row in rows if row["use"] != "clean"))


def _joined(cells: list[CellResult | None], column: str) -> np.ndarray:
    return np.concatenate([cell.verdicts.columns()[column] for cell in cells if cell])
