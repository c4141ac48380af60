"""Results -> the tables people read: models ranked by worst case, and every attack beside it."""

import math

import pandas as pd

from robeval.reports import measure
from robeval.values.suite import WORST_CASE
from robeval.values.table import Table

NOT_AUDITED = "not audited"  # no rule has looked at any result yet, and a table says so
WORST = "worst case [95 % CI]"
_NOT_COUNTED = ", no part of the worst case"
_ONE_TABLE = ["suite", "dataset", "split", "norm", "eps", "seed", "content"]  # what is unfinished may have no content


def parts(results: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of models that may be ranked together: of one suite, data, threat model and seed, on as many samples,
    and with the same attacks in the worst case.

    The data are the same if their content is: other images may have the same name.
    A model without a finished worst case stands with those of its suite and threat model that have most samples.
    """
    groups: dict[tuple[object, ...], dict[int, list[str]]] = {}
    stuck: dict[tuple[object, ...], list[str]] = {}
    for _, rows in results.groupby(["suite", "model"], sort=False):
        last = rows.iloc[-1]  # the worst case, if there is one
        model = str(last.model)
        key = (_counted(rows), *last[_ONE_TABLE])
        if last.status == "complete":
            groups.setdefault(key, {}).setdefault(int(last.n), []).append(model)
        else:
            stuck.setdefault(key, []).append(model)
    for key, models in stuck.items():
        near = next((each for each in groups if each[:-1] == key[:-1] and key[-1] in ("", each[-1])), key)
        counts = groups.setdefault(near, {0: []})
        counts[max(counts)] += models
    return [
        results[(results.suite == key[1]) & results.model.isin(models)]
        for key, counts in groups.items()
        for _, models in sorted(counts.items(), reverse=True)
    ]


def _counted(rows: pd.DataFrame) -> tuple[object, ...]:
    """What the attacks were that count in one model's worst case."""
    names = rows.iloc[-1].use.split(" | ")
    return measure.edition(row for row in rows.to_dict("records") if row["attack"] in names)


def ranking(results: pd.DataFrame, suite: str) -> Table:
    """The models of one suite, the most robust first; models without a finished worst case at the end."""
    worst = results[(results.suite == suite) & (results.attack == WORST_CASE)]
    order = ["n", "robust_accuracy", "natural_accuracy"]
    worst = worst.assign(done=worst.status == "complete").sort_values(["done", *order], ascending=False)
    rows = []
    for _, row in worst.iterrows():
        rank, natural = (f"{row['rank']:.0f}", _percent(row.natural_accuracy)) if row.done else ("–", "–")
        rows.append((rank, row.model, natural, _with_interval(row), str(row.n)))
    caption = f"{suite}: {_threat(results, suite)}, robust accuracy in % over the worst case of all attacks per sample"
    notes = _editions(results[results.suite == suite]) + _about_ranks(worst[worst.done])
    return Table(caption, ("#", "model", "natural", WORST, "n"), tuple(rows), tuple(notes))


def board(results: pd.DataFrame, suite: str) -> Table:
    """One row per model, ranked as in `ranking`, with a column for each attack and what it was made with."""
    chosen = results[results.suite == suite]
    ranked = ranking(results, suite)
    names = [name for name in dict.fromkeys(chosen.attack) if name != WORST_CASE]
    found = {(row["model"], row["attack"]): row for _, row in chosen.iterrows()}
    rows = []
    for rank, model, natural, worst, n in ranked.rows:
        cells = [_with_interval(found[model, name]) if (model, name) in found else "" for name in names]
        rows.append((rank, model, natural, *cells, worst, n, NOT_AUDITED, found[model, WORST_CASE].made_with))
    labels = [label(name, chosen[chosen.attack == name].part_of.iloc[0]) for name in names]
    header = ("#", "model", "natural", *labels, WORST, "n", "audit", "made with")
    return Table(
        f"{ranked.caption}, n = {_counts(chosen[chosen.attack == WORST_CASE])}",
        header,
        tuple(rows),
        (*ranked.notes, *_notes(chosen)),
    )


def origins(results: pd.DataFrame) -> list[str]:
    """With what, on what and when the worst cases were made, and what an audit says of them."""
    worst = results[results.attack == WORST_CASE]
    models: dict[str, list[str]] = {}
    for model, made_with in zip(worst.model, worst.made_with):
        models.setdefault(made_with, []).append(model)
    return [f"{', '.join(names)}: {made or 'nothing is finished'}; {NOT_AUDITED}" for made, names in models.items()]


def _about_ranks(worst: pd.DataFrame) -> list[str]:
    notes = []
    if worst.duplicated(["rank", "n"]).any():
        notes.append("models that do not differ significantly share a rank (exact McNemar test, Holm's correction)")
    if worst.n.nunique() > 1:
        notes.append("models are ranked among those with as many samples")
    return notes


def attacks(results: pd.DataFrame, suite: str) -> Table:
    """One row per attack and one column per model of one suite."""
    chosen = results[results.suite == suite]
    models = list(dict.fromkeys(chosen.model))
    rows = []
    for attack in dict.fromkeys(chosen.attack):
        of_attack = chosen[chosen.attack == attack].set_index("model")
        cells = [_with_interval(of_attack.loc[model]) if model in of_attack.index else "" for model in models]
        rows.append((label(attack, of_attack.part_of.iloc[0]), *cells))
    caption = f"{suite}: {_threat(results, suite)}, robust accuracy in % [95 % CI], n = {_counts(chosen)}"
    return Table(caption, ("attack", *models), tuple(rows), tuple(_notes(chosen)))


def label(attack: str, chain: str) -> str:
    """The attack's name; that of a chain's part says so, as its accuracy is that of all parts so far."""
    if attack == WORST_CASE:
        return attack.replace("_", " ")
    return f"… {attack.removeprefix(chain + '.')}" if chain else attack


def distances(results: pd.DataFrame, suite: str) -> Table | None:
    """Median distances that minimal-distance attacks found, one column per model; None if there are none."""
    chosen = results[(results.suite == suite) & (results.minimises != "") & (results.part_of == "")]
    if chosen.empty:
        return None
    models = list(dict.fromkeys(chosen.model))
    found = {(row["attack"], row["model"]): row["median_distance"] for row in chosen.to_dict("records")}
    rows = [
        (
            row["attack"],
            row["minimises"],
            row["norm"],
            *(_number(found.get((row["attack"], model))) for model in models),
        )
        for row in chosen.drop_duplicates("attack").to_dict("records")
    ]
    caption = f"{suite}: median distance of the nearest misclassified image found (0 if wrong when clean)"
    return Table(caption, ("attack", "minimises", "measured in", *models), tuple(rows))


def _number(distance: float | None) -> str:
    return "" if distance is None or math.isnan(distance) else f"{distance:.4g}"


def settings(results: pd.DataFrame, suite: str) -> Table:
    """What each attack of one suite was: the function, its ball, its parameters, and which iterate counted."""
    chosen = results[(results.suite == suite) & (results.attack != WORST_CASE)].drop_duplicates("attack")
    whole = set(chosen.part_of)  # chains, whose parts say more
    chosen = chosen[~chosen.attack.isin(whole)]
    rows = [
        (
            row["attack"],
            row["use"],
            f"{row['norm']} {row['eps']:.4g}",
            row["params"],
            str(row["restarts"]) + (f", eot {row['eot']}" if row["eot"] > 1 else ""),
            f"{row['minimises']}-minimal, {row['score']}" if row["minimises"] else row["select"],
        )
        for row in chosen.to_dict("records")
    ]
    header = ("attack", "function", "ball", "parameters", "restarts", "what counts")
    return Table(f"{suite}: the attacks", header, tuple(rows))


def _threat(results: pd.DataFrame, suite: str) -> str:
    worst = results[results.suite == suite].iloc[-1]
    drawn = f", seed {worst.seed}" if worst.seed else ""
    return f"{worst.dataset} ({worst.split}), {worst.norm} eps {worst.eps:.4g}{drawn}"


def _counts(rows: pd.DataFrame) -> str:
    complete = rows[rows.status == "complete"]
    return ", ".join(str(n) for n in sorted(set(rows.n if complete.empty else complete.n)))


def _notes(rows: pd.DataFrame) -> list[str]:
    """What a reader has to know before trusting the numbers."""
    elsewhere = _editions(rows) + _other_threats(rows)
    rows = rows[rows.attack != WORST_CASE]
    unfinished = [f"{row.model}, {row.attack}: {row.status}" for row in rows[rows.status != "complete"].itertuples()]
    escaped = [
        f"{row.model}, {row.attack}: {row.escaped} candidates left the ball or box and did not count"
        for row in rows[rows.escaped > 0].itertuples()
    ]
    nonfinite = [
        f"{row.model}, {row.attack}: {row.nonfinite} samples met NaN or infinite logits or gradients"
        for row in rows[rows.nonfinite > 0].itertuples()
    ]
    about = rows.drop_duplicates("model").to_dict("records")
    warned = [f"{row['model']}: {row['warnings']}" for row in about if row["warnings"]]
    return warned + elsewhere + unfinished + escaped + nonfinite


def _other_threats(rows: pd.DataFrame) -> list[str]:
    """The attacks that are not in the ball that the caption names, once for all models."""
    whole = {row["model"]: row for row in rows[rows.attack == WORST_CASE].to_dict("records")}
    notes = []
    for row in rows[(rows.attack != WORST_CASE) & (rows.part_of == "")].to_dict("records"):
        if not (worst := whole.get(row["model"])):
            continue
        counts = row["attack"] in worst["use"].split(" | ")
        if not counts or (row["norm"], row["eps"]) != (worst["norm"], worst["eps"]):
            notes.append(f"{row['attack']}: {row['norm']} eps {row['eps']:.4g}" + ("" if counts else _NOT_COUNTED))
        if row["minimises"] not in ("", row["norm"]):
            how = "after projection onto the ball" if row["score"] == "project" else "if within eps"
            notes.append(f"{row['attack']}: {row['minimises']}-minimal, scored in {row['norm']} {how}")
    return list(dict.fromkeys(notes))


def _editions(rows: pd.DataFrame) -> list[str]:
    """A warning if the suite was changed between its models, whose numbers then answer different questions."""
    asked = ["dataset", "split", "norm", "eps", "attack", "use", "params", "select", "restarts"]
    editions: dict[tuple[object, ...], list[str]] = {}
    for model, of_model in rows.groupby("model", sort=False):
        edition = tuple(of_model[asked].itertuples(index=False, name=None))
        editions.setdefault(edition, []).append(str(model))
    if len(editions) < 2:
        return []
    parts = " / ".join(", ".join(models) for models in editions.values())
    return [f"the suite was changed between these models, run it again to compare them: {parts}"]


def _with_interval(row: "pd.Series[float]") -> str:
    if math.isnan(row.robust_accuracy):
        return "INCOMPLETE"
    return f"{_percent(row.robust_accuracy)} [{100 * row.ci_low:.1f},{100 * row.ci_high:.1f}]"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
