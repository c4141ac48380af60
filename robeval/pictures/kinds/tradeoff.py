"""Natural against robust accuracy of the models of a ledger."""

from collections.abc import Mapping
from typing import Any

from robeval.errors import UserError
from robeval.pictures.content import NORMS, Point, Scatter
from robeval.pictures.records import About, Records, together
from robeval.pictures.registry import picture
from robeval.reports import measure
from robeval.values.interval import wilson
from robeval.values.suite import WORST_CASE

Row = Mapping[Any, Any]


@picture("tradeoff", about="ledger")
def tradeoff(records: Records, *, attack: str = WORST_CASE) -> Scatter:
    """Natural against robust accuracy, a point for each model that the ledger has of one suite.

    Robust under one attack of the suite, or under its worst case; bars are 95 % Wilson intervals. No model can be above
    the line where both are equal. Only models with the same suite, attacks, ball and samples stand in one picture.
    """
    rows = measure.results(records.ledger, records.ledger.plans()).to_dict("records")
    known = [row for row in rows if row["attack"] == attack]
    if rows and not known:
        listed = ", ".join(dict.fromkeys(row["attack"] for row in rows))
        raise UserError(f"no suite has an attack '{attack}'", where="--attack", fix=f"Choose one of {listed}.")
    chosen = records.wanted(attack, known, _about, "robeval run --suite SUITE --model MODEL")
    done = [row for row in chosen if row["status"] == "complete"]
    if not done:
        fix = "Finish them: `robeval run` goes on where it was stopped."
        raise UserError("no model is complete", where=f"ledger {records.ledger.root}", fix=fix)
    together(done, _kind, "--suite, --dataset, --split, --n or --seed, with --model, or by one attack with --attack")
    points = tuple(_point(row) for row in done)
    first = done[0]
    ball = f"{NORMS[first['norm']]} ε = {first['eps']:.4g}"
    title = f"Natural and robust accuracy, {_about(first).data}, {ball}"
    missing = ", ".join(row["model"] for row in chosen if row["status"] != "complete")
    by = f"worst case of {len(first['use'].split(' | '))} attacks" if attack == WORST_CASE else attack
    note = f"Suite {first['suite']}, {by}; bars: 95 % Wilson intervals." + (
        f" Not finished: {missing}." * bool(missing)
    )
    return Scatter(title, note, "natural accuracy, %", "robust accuracy, %", points)


def _about(row: Row) -> About:
    return About(row["model"], row["suite"], row["dataset"], row["split"], row["n"], row["seed"])


def _kind(row: Row) -> str:
    """All that must be the same."""
    how = f"{row['use']} {row['params']}".strip()
    return f"{row['suite']}, {_about(row).data}, {row['norm']} ε = {row['eps']:.4g}, seed {row['seed']}: {how}"


def _point(row: Row) -> Point:
    n, natural, robust = row["n"], row["natural_accuracy"], row["robust_accuracy"]
    low, high = wilson(round(natural * n), n)
    across, up = (100 * low, 100 * high), (100 * row["ci_low"], 100 * row["ci_high"])
    return Point(row["model"], 100 * natural, across, 100 * robust, up)
