"""A table shows no number but those of the ledger for just that cell, those of its file, and their differences."""

import csv
import html
import io
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import cell, fill, result, spec
from rich.console import Console

from robeval.cli.table_asks import whole
from robeval.ledger.store import Ledger
from robeval.reports import findings, measure, paper_table, papers, transfer
from robeval.reports.compare import Found, compare
from robeval.reports.render import csv as as_csv
from robeval.reports.render import html as as_html
from robeval.reports.render import latex, markdown, terminal
from robeval.values.cell import DataSlice
from robeval.values.interval import wilson
from robeval.values.measurement import Finding, Measured, Question
from robeval.values.paper import Ask, PaperCell, PaperTable
from robeval.values.threat import ThreatModel

TABLES = papers.catalog()
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SHOWN = re.compile(r"(-?[\d.]+(?:e[+-]?\d+)?)(?: \[(-?[\d.e+-]+),(-?[\d.e+-]+)\])?")
SUBJECT = {"measure", "at", "dataset", "split", "suite", "seed", "version"}


def said(ask):
    """All that a row of the ledger must say to be the ask's number."""
    about = {"metric": ask.metric, "model": ask.model} if ask.model else {"metric": ask.metric}
    return about | whole(ask, 0)


def put_finding(ledger, wanted, value, width, n):
    """An answer that says all that is wanted."""
    finding = Finding(wanted["metric"], value, value - width, value + 2 * width, n, str(wanted.get("at", "")))
    params = {key.removeprefix("params."): each for key, each in wanted.items() if key not in SUBJECT}
    params = {key: each for key, each in params.items() if key not in ("metric", "model")}
    dataset, model = wanted.get("dataset"), wanted.get("model", "")
    data = DataSlice(dataset, wanted.get("split", "test"), "c" * 32, 0, n) if dataset else None
    suite, seed, version = wanted.get("suite", ""), wanted["seed"], wanted["version"]
    asked = Question(wanted["measure"], params, model, model and "w", data, suite=suite, seed=seed, version=version)
    ledger.put_answer(Measured(asked, (finding,)))


def other(value):
    """Another value of the same kind."""
    if value is None or isinstance(value, tuple):
        return 0.625
    return f"{value}x" if isinstance(value, str) else value + 1


def put_accuracy(ledger, ask, broken, losses):
    """A finished attack; on images of a source with the cross-entropy of each sample."""
    planned = fill(ledger, ask.model, [(spec(ask.attack), broken)], suite=ask.suite)
    if ask.source:
        (ledger.root / "plans" / f"{planned.name}.json").unlink()
        ledger.put_plan(replace(planned, source=ask.source))
        made = ledger.get(planned.rows[0].keys[0][0])
        ledger.put(replace(made, more={"cross_entropy": np.float32(losses[: len(broken)])}))


def drawn(data, ledger, asks):
    """Some of the asks in the ledger, each beside answers with more samples that are wrong in one key."""
    for ask in data.draw(st.lists(st.sampled_from(asks), max_size=4)) if asks else ():
        value, width = data.draw(st.floats(0, 10)), data.draw(st.floats(0, 1))
        if ask.finding:
            wanted = said(ask)
            for key in wanted:
                put_finding(ledger, wanted | {key: other(wanted[key])}, value + 20, 3.0, 900)
            if data.draw(st.booleans()):
                put_finding(ledger, wanted, value, width, 700)
        else:
            losses = data.draw(st.lists(st.floats(0, 9, width=32), min_size=9, max_size=9))
            broken = st.text("01", min_size=3, max_size=9)
            key = data.draw(st.sampled_from(["model", "suite", "attack", *(["source"] if ask.source else [])]))
            put_accuracy(ledger, replace(ask, **{key: f"{getattr(ask, key)}x"}), data.draw(broken), losses[::-1])
            if data.draw(st.booleans()):
                put_accuracy(ledger, ask, data.draw(broken), losses)


def expected(ask, cell, results, rows):
    """The number that the ledger has for an ask, looked for by other means than `compare` has."""
    if ask.minus:
        one, two = (expected(each, cell, results, rows) for each in (replace(ask, minus=None), ask.minus))
        if one is None or two is None:
            return None
        low = math.sqrt((one.value - one.low) ** 2 + (two.high - two.value) ** 2)
        high = math.sqrt((one.high - one.value) ** 2 + (two.value - two.low) ** 2)
        gap = one.value - two.value
        return Found(gap, gap - low, gap + high, min(one.n, two.n))
    if ask.is_accuracy:
        found = results[(results.model == ask.model) & (results.attack == ask.attack) & (results.suite == ask.group)]
        if found.empty:
            return None
        share, n = found[ask.metric].item(), int(found.n.item())
        low, high = wilson(round(share * n), n)
        return Found(100 * share, 100 * low, 100 * high, n)
    moved = {
        "measure": "transfer", "at": "all samples", "source": ask.source, "suite": ask.suite, "attack": ask.attack,
        "model": ask.model, "metric": ask.metric,
    }  # fmt: skip
    wanted = said(ask) if ask.finding else moved
    keys = {key: list(each) if isinstance(each, tuple) else each for key, each in wanted.items()}
    found = [row for row in rows if all(key in row and row[key] == each for key, each in keys.items())]
    if not found:
        return None
    (row,) = found
    scale = 100 if cell.unit == "%" else 1
    return Found(scale * row["value"], scale * row["low"], scale * row["high"], row["n"])


def near(text, number, digits):
    """Whether a text is that number as rounded: to so many decimals, or so many significant digits if negative."""
    room = 0.5 * 10.0**-digits if digits >= 0 else 0.5 * 10.0 ** (math.floor(math.log10(abs(number) or 1)) + 1 + digits)
    return abs(float(text) - number) <= room * (1 + 1e-6) + 1e-12


def check_shown(parts, entry):
    """Measured number, interval and difference of one reading, as they are written."""
    found, percent = entry.found, entry.cell.unit == "%"
    value, low, high = SHOWN.fullmatch(parts[0]).groups()
    assert near(value, found.value, 2 if percent else -4)
    assert near(low, found.low, 1 if percent else -3)
    assert near(high, found.high, 1 if percent else -3)
    held = entry.cell.number is not None and entry.verdict not in ("other data", "other networks")
    assert held == (parts[1] != "–")
    assert not held or near(parts[1], found.value - entry.cell.number, 2 if percent else -3)


def check_tidy(table, entries):
    """The CSV form: numbers in full."""
    text = as_csv.render(paper_table.tidy(table, entries, lambda _: ""))
    for row, entry in zip(csv.DictReader(io.StringIO(text)), entries, strict=True):
        assert (row["row"], row["column"], row["published"]) == (
            entry.cell.row, entry.cell.column, entry.cell.published
        )  # fmt: skip
        if entry.found is None:
            assert [row[key] for key in ("measured", "ci_low", "ci_high", "n", "difference")] == ["", "", "", "0", ""]
            continue
        numbers = [float(row[key]) for key in ("measured", "ci_low", "ci_high", "n")]
        assert numbers == pytest.approx(
            [entry.found.value, entry.found.low, entry.found.high, entry.found.n], rel=1e-12
        )
        gap = entry.found.value - (entry.cell.number or 0)
        assert not row["difference"] or float(row["difference"]) == pytest.approx(gap, abs=1e-9)


def places(form, text):
    """The cells as a renderer has put them, row by row, the header first; the terminal's without the empty ones."""
    if form == "markdown":
        lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| :--")]
        return [[each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    if form == "latex":
        lines = [line for line in text.splitlines() if line.endswith(r" \\")]
        return [line.removesuffix(r" \\").split(" & ") for line in lines]
    if form == "html":
        lines = re.findall(r"<tr>(.*?)</tr>", text)
        return [[html.unescape(each) for each in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)] for line in lines]
    lines = [line.strip() for line in text.splitlines() if line.startswith("  ") and line.strip(" ─")]
    return [re.split(r" {2,}", line) for line in lines]


def check_places(form, text, shown):
    """Each number stands in the row and column in which the table has it."""
    cells = [shown.header, *shown.rows]
    if form == "terminal":
        cells = [[each for each in row if each] for row in cells]
    found = places(form, text)[: len(cells)]
    assert [[NUMBER.findall(each) for each in row] for row in found] == [
        [NUMBER.findall(each) for each in row] for row in cells
    ], form


def texts(shown):
    """The table as each renderer writes it."""
    screen = Console(width=4000, file=io.StringIO(), highlight=False)
    screen.print(terminal.render(shown))
    return {"terminal": screen.file.getvalue(), "html": as_html.render(shown)} | {
        "markdown": markdown.render(shown), "latex": latex.render(shown),
    }  # fmt: skip


ONE_OF_EACH = {
    ask.finding["measure"]: (name, scale, ask)
    for name, table in TABLES.items()
    for scale in ("paper", "digits")
    for ask in table.asks(scale)
    if ask.finding
}


@pytest.mark.parametrize("name", sorted(ONE_OF_EACH))
def test_a_row_that_is_wrong_in_one_thing_is_not_the_number(tmp_path, name):
    table, scale, ask = ONE_OF_EACH[name]
    ledger, wanted = Ledger(tmp_path), said(ask)
    for key in wanted:
        put_finding(ledger, wanted | {key: other(wanted[key])}, 20.0, 3.0, 900)
    entries = compare(
        TABLES[table], measure.results(ledger, []), findings.rows(ledger), scale, lambda ask: whole(ask, 0)
    )
    assert not any(entry.found for entry in entries if entry.ask == ask)
    put_finding(ledger, wanted, 0.5, 0.25, 700)
    entries = compare(
        TABLES[table], measure.results(ledger, []), findings.rows(ledger), scale, lambda ask: whole(ask, 0)
    )
    assert all(entry.found for entry in entries if entry.ask == ask)


ASKED = Ask("distance_mean", "net", finding={"measure": "distance", "suite": "small", "at": ""})
OF_A_SUITE = PaperTable(
    "t", "T", "cite", (PaperCell("row", "column", "1.0", unit="l2", asks={"paper": {"": ASKED}}),), {"": ""}
)
USED = (spec("near"), spec("far", eot=2))
DECOYS = {
    "other images than the suite's": {"content": "d" * 32},
    "compared with other images": {"reference": "d" * 32},
    "other attacks than the suite's": {"attacks": (spec("near"),)},
}


def put_distance(ledger, value, attacks=USED, content="c" * 32, reference=""):
    """An answer made of the verdicts of some attacks on some images."""
    data, cells = DataSlice("digits", "test", content, 0, 4), []
    for attack in attacks:
        about = replace(cell(attack), slice=data)
        ledger.put(result(about, "0101"))
        cells.append(about.key)
    about = Question("distance", {}, "net", "w", data, reference, "small", tuple(cells))
    ledger.put_answer(Measured(about, (Finding("distance_mean", value, n=4),)))


def of_a_suite(ledger):
    """What a table has for a measure of the suite whose attacks are those that are used."""
    setting = {"content": "c" * 32, "reference": "", "attacks": findings.together(USED)}
    rows = findings.rows(ledger)
    (entry,) = compare(OF_A_SUITE, measure.results(ledger, []), rows, setting=lambda ask: setting)
    return entry


@pytest.mark.parametrize("why", DECOYS)
def test_a_measure_of_other_images_or_attacks_under_the_name_of_a_suite_is_not_the_number(tmp_path, why):
    ledger = Ledger(tmp_path)
    put_distance(ledger, 1.0, **DECOYS[why])
    entry = of_a_suite(ledger)
    assert (entry.found, entry.verdict) == (None, why)
    put_distance(ledger, 1.02)
    assert of_a_suite(ledger).found.value == 1.02


@pytest.mark.parametrize(
    "changed",
    [
        (spec("near"), spec("far", eot=3)),
        (spec("near"), spec("far", eot=2, threat=ThreatModel("linf", 0.2))),
        (spec("near"), spec("far", eot=2, version=2)),
        (spec("near"), spec("far", eot=2, params={"steps": 20, "step_size": 0.02})),
        (*USED, spec("third", select="any")),
        (),
    ],
)
def test_attacks_are_told_apart_by_all_they_do(tmp_path, changed):
    ledger = Ledger(tmp_path)
    put_distance(ledger, 1.0, changed)
    assert of_a_suite(ledger).verdict == "other attacks than the suite's"


def test_attacks_are_the_same_in_another_order_and_under_other_names(tmp_path):
    ledger = Ledger(tmp_path)
    put_distance(ledger, 1.0, (spec("b", eot=2), spec("a")))
    assert of_a_suite(ledger).found.value == 1.0


def test_the_attacks_of_a_measure_whose_verdicts_are_gone_are_unknown(tmp_path):
    ledger = Ledger(tmp_path)
    put_distance(ledger, 1.0)
    for path in (tmp_path / "cells").glob("*/*.parquet"):
        path.unlink()
    assert of_a_suite(ledger).verdict == "other attacks than the suite's"


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(TABLES)), scale=st.sampled_from(["paper", "digits"]))
def test_no_number_is_shown_that_is_not_measured_or_printed(tmp_path_factory, data, name, scale):
    chosen = TABLES[name]
    ledger = Ledger(tmp_path_factory.mktemp("any"))
    drawn(data, ledger, chosen.asks(scale))
    plans = list(ledger.plans())
    results, rows = measure.results(ledger, plans), findings.rows(ledger) + transfer.rows(ledger, plans)
    entries = compare(chosen, results, rows, scale, lambda ask: whole(ask, 0))
    for entry in entries:
        right = expected(entry.ask, entry.cell, results, rows) if entry.ask else None
        assert (entry.found is None) == (right is None), entry
        if right:
            ours, theirs = ((each.value, each.low, each.high, each.n) for each in (entry.found, right))
            assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12), entry
    check_tidy(chosen, entries)
    shown = paper_table.comparison(chosen, entries, scale, lambda _: "")
    assert shown.header == (
        "row", "cell", "published", *(word for name in chosen.readings for word in (name or "measured", "diff.", "")),
        "n", "notes",
    )  # fmt: skip
    label = ""
    for cell_, row in zip(chosen.cells, shown.rows, strict=True):
        label = row[0] or label
        assert (label, row[1]) == (cell_.row, cell_.column)
        assert row[2] == (cell_.published or "–") + (f" ± {cell_.spread}" if cell_.spread else "")
        of_cell = {entry.reading: entry for entry in entries if entry.cell is cell_ and entry.found}
        assert {int(each) for each in row[-2].split(", ") if each} == {entry.found.n for entry in of_cell.values()}
        for place, reading in enumerate(chosen.readings):
            parts = row[3 + 3 * place : 6 + 3 * place]
            if reading in of_cell:
                check_shown(parts, of_cell[reading])
            else:
                assert not NUMBER.search(" ".join(parts))
    every = Counter(
        NUMBER.findall("\n".join([shown.caption, *shown.header, *shown.notes, *map("\n".join, shown.rows)]))
    )
    for form, text in texts(shown).items():
        check_places(form, text, shown)
        plain = html.unescape(re.sub("<[^>]*>", " ", text)) if form == "html" else text
        assert Counter(NUMBER.findall(plain)) == every, form
