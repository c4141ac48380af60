"""How models fare on images that were made on other models.

Two accuracies are in use and are easily taken for each other. Of all samples, one that the target gets wrong anyway
counts as broken; of the clean-correct ones, it is left out. The mean cross-entropy is that of the target on the images
of every sample (TRADES, Tables 6 and 7), those included that it gets wrong anyway.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robeval.ledger.store import Ledger
from robeval.reports import measure
from robeval.values.cell import CellResult
from robeval.values.interval import of_mean, wilson
from robeval.values.plan import ModelPlan, Row
from robeval.values.table import Table

ALL, RIGHT = "all samples", "clean-correct on the target"
COLUMNS = (
    "measure", "suite", "dataset", "split", "attack", "source", "model", "metric", "at", "value", "low", "high", "n",
    "seed",
)  # fmt: skip


def results(ledger: Ledger, plans: Iterable[ModelPlan]) -> pd.DataFrame:
    """One row per number of every attack that is finished: of each source, target, attack and denominator (`at`)."""
    return pd.DataFrame(rows(ledger, plans), columns=list(COLUMNS))


def rows(ledger: Ledger, plans: Iterable[ModelPlan]) -> list[dict[str, Any]]:
    """The same as dictionaries, with what `measure.results` says of attacks and data besides."""
    found: list[dict[str, Any]] = []
    for plan in (plan for plan in plans if plan.source):
        for row in plan.rows:
            cells = [ledger.get(keys[-1]) for keys in row.keys]  # the last cell of a chain has its verdicts
            done = [cell for cell in cells if cell]
            if len(done) == len(cells):
                about = _named(plan, row) | measure.settings(row.attacks) | {"content": measure.content(done)}
                found += [about | numbers for numbers in _numbers(done)]
    return found


def _named(plan: ModelPlan, row: Row) -> dict[str, Any]:
    return {
        "measure": "transfer", "suite": plan.suite, "dataset": plan.dataset, "split": plan.split, "attack": row.id,
        "source": plan.source, "model": plan.model, "seed": plan.seed,
    }  # fmt: skip


def _numbers(cells: list[CellResult]) -> list[dict[str, Any]]:
    robust = np.concatenate([~cell.verdicts.broken for cell in cells])
    right = np.concatenate([cell.verdicts.clean_predicted == cell.verdicts.label for cell in cells])
    found = [_share("natural_accuracy", ALL, right)]
    known = all("cross_entropy" in cell.more for cell in cells)
    losses = np.concatenate([cell.more["cross_entropy"].astype(float) for cell in cells]) if known else None
    for at, which in ((ALL, np.ones_like(right)), (RIGHT, right)):
        found.append(_share("robust_accuracy", at, robust[which]))
        if losses is not None:
            found.append(_mean("mean_cross_entropy", at, losses[which]))
    return found


def _share(metric: str, at: str, hits: NDArray[np.bool_]) -> dict[str, Any]:
    n = len(hits)
    low, high = wilson(int(hits.sum()), n) if n else (np.nan, np.nan)
    return {"metric": metric, "at": at, "value": hits.mean() if n else np.nan, "low": low, "high": high, "n": n}


def _mean(metric: str, at: str, values: NDArray[np.float64]) -> dict[str, Any]:
    low, high = of_mean(values)
    value = values.mean() if len(values) else np.nan
    return {"metric": metric, "at": at, "value": value, "low": low, "high": high, "n": len(values)}


def tables(found: pd.DataFrame) -> list[Table]:
    """For each suite, attack and seed a matrix of sources and targets, one line per pair."""
    header = (
        "images made on", "target", "natural %", "robust %, of all samples", "n",
        "robust %, of clean-correct", "n", "mean cross-entropy, all",
    )  # fmt: skip
    notes = ("of all samples: a sample that the target gets wrong anyway is broken; of clean-correct: it is left out",)
    return [
        Table(
            f"{suite}: {attack}, made on other models [95 % CI]" + (f", seed {seed}" if seed else ""),
            header,
            tuple(_line(pair) for _, pair in group.groupby(["source", "model"], sort=False)),
            notes + _undefined(group),
        )
        for (suite, attack, seed), group in found.groupby(["suite", "attack", "seed"], sort=False)
    ]


def _undefined(group: pd.DataFrame) -> tuple[str, ...]:
    """Which targets have no mean."""
    lost = group[(group.metric == "mean_cross_entropy") & group.value.isna() & (group.n > 0)]
    return tuple(f"{name}: NaN or infinite logits have no mean cross-entropy" for name in lost.model.unique())


def _line(pair: pd.DataFrame) -> tuple[str, ...]:
    known = {(row["metric"], row["at"]): row for row in pair.to_dict("records")}
    first = pair.iloc[0]
    every, right = known["robust_accuracy", ALL], known["robust_accuracy", RIGHT]
    loss: Mapping[Any, Any] | None = known.get(("mean_cross_entropy", ALL))
    return (
        first.source, first.model, f"{100 * known['natural_accuracy', ALL]['value']:.2f}",
        _percent(every), str(every["n"]), _percent(right), str(right["n"]),
        f"{loss['value']:.4g} [{loss['low']:.3g},{loss['high']:.3g}]" if loss else "–",
    )  # fmt: skip


def _percent(number: Mapping[Any, Any]) -> str:
    if not number["n"]:
        return "–"
    return f"{100 * number['value']:.2f} [{100 * number['low']:.1f},{100 * number['high']:.1f}]"
