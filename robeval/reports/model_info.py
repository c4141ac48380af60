"""Results in the form of RobustBench's `model_info` files, one object for each model and threat model.

The keys are those of https://github.com/RobustBench/robustbench (README, "Adding a new evaluation"); numbers are texts
as there. What neither the card nor the ledger knows is null, as in the files that RobustBench's own code begins.
"""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from robeval.reports.leaderboard import NOT_AUDITED
from robeval.values.card import ModelCard, Published
from robeval.values.suite import WORST_CASE
from robeval.values.threat import spell

Infos = dict[str, dict[str, dict[str, dict[str, Any]]]]

THREATS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
AUTOATTACK = "apgd + apgd_targeted + fab_targeted + square"
_COUNTS = ("steps=100 loss=ce", "targets=9 loss", "queries=5000")  # in the parameters of the standard version


def infos(results: pd.DataFrame, cards: Mapping[str, ModelCard], reported: Mapping[str, Published | None]) -> Infos:
    """By data set, threat model as RobustBench calls it, and model; a second eps of one norm is said in the name.

    Args:
        reported: of models with a card the robust accuracy that their authors printed.
    """
    found: Infos = {}
    chosen = results[(results.attack == WORST_CASE) & (results.status == "complete") & (results.source == "")]
    for _, alike in chosen.groupby(["dataset", "norm", "model"], sort=False):
        dataset, norm, model = (str(alike[key].iloc[0]) for key in ("dataset", "norm", "model"))
        inside = found.setdefault(dataset, {}).setdefault(THREATS.get(norm, norm), {})
        for eps in alike.eps.unique():
            name = f"{model}_eps_{spell(float(eps)).replace('/', '_')}" if alike.eps.nunique() > 1 else model
            inside[name] = _info(results, alike[alike.eps == eps], cards.get(model), reported.get(model))
    return found


def _info(
    results: pd.DataFrame, worst: pd.DataFrame, card: ModelCard | None, reported: Published | None
) -> dict[str, Any]:
    suites = worst.sort_values("n", ascending=False).to_dict("records")
    standard = [row for each in suites if (row := _autoattack(results, each))]
    headline = (standard or suites)[0]
    given = {}
    if card is not None:
        paper = re.fullmatch(r"arXiv:([\w./-]+)", card.paper)
        given = {
            "link": f"https://arxiv.org/abs/{paper[1]}" if paper else card.paper or None,
            "name": card.title,
            "number_forward_passes": 1,  # a card is one network, asked once
            "architecture": _architecture(card),
        }
    return {
        "link": None, "name": headline["model"], "authors": None, "additional_data": None,
        "number_forward_passes": None, "dataset": headline["dataset"], "venue": None, "architecture": None,
        **given,
        "eps": spell(headline["eps"]),
        "clean_acc": _percent(headline["natural_accuracy"]),
        "reported": f"{reported.value:.2f}" if reported else None,
        "autoattack_acc": _percent(standard[0]["robust_accuracy"]) if standard else None,
        "footnote": f"Measured by robeval on {headline['n']} samples of {headline['dataset']} ({headline['split']})."
        + (f" Reported: {reported.metric} ({reported.source})." if reported else ""),
        "robeval": [_measured(each) for each in suites],
    }  # fmt: skip


def _autoattack(results: pd.DataFrame, worst: Mapping[Any, Any]) -> dict[Any, Any] | None:
    """The row of AutoAttack's standard version in one suite of a model, finished and in the suite's threat model."""
    keys = ["suite", "model", "norm", "eps"]
    same = results[(results[keys] == [worst[key] for key in keys]).all(axis=1) & (results.use == AUTOATTACK)]
    for row in same.to_dict("records"):
        if row["status"] == "complete" and all(count in row["params"] for count in _COUNTS):
            return dict(row)
    return None


def _measured(row: Mapping[Any, Any]) -> dict[str, Any]:
    """One suite's result with all that has to be known of it."""
    return {
        "suite": row["suite"], "split": row["split"], "n": int(row["n"]), "rank": int(row["rank"]),
        "natural_acc": _percent(row["natural_accuracy"]), "worst_case_acc": _percent(row["robust_accuracy"]),
        "worst_case_ci95": [_percent(row["ci_low"]), _percent(row["ci_high"])],
        "attacks": row["use"].split(" | "), "audit": NOT_AUDITED, "made_with": row["made_with"],
    }  # fmt: skip


def _architecture(card: ModelCard) -> str:
    """The family, and its depth and width where it has them."""
    params: Mapping[str, Any] = card.network.params
    return " ".join(
        [card.network.arch, "-".join(str(params[key]) for key in ("depth", "widen_factor") if key in params)]
    ).strip()


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
