"""Every printed number stands once, as printed, in its row and column: held against the numbers as collected."""

import re
from itertools import combinations, permutations
from pathlib import Path

import pandas as pd
import pytest

from robeval.reports import papers

ROOT = Path(__file__).parents[2]
PAPERS = "trades", "bat", "tsipras", "yang"
TABLES = papers.catalog()
BY_DATASET = {"trades_table4", "tsipras_table2", "tsipras_table3"}  # collected line by line, shown data set by data set
COLUMN = "attack", "attack_params", "metric", "norm", "epsilon", "dataset", "defense_variant"
ROW = "row_id", "defense", "method_params", "architecture", *COLUMN

# The same things as the collection and the tables call them.
SAME = {
    "random_start=true": "startsrandomly", "random_start=false": "startsthere", "no random start": "startsthere",
    "random start": "startsrandomly", "nt-": "target=none ", "rd-": "target=random ", "cifar-10": "cifar10",
    "l-inf": "linf", "+": " long ", "1/lambda = ": "beta=", "rst(": "lambda=", ".0;": ";",
    "an undefended network": "source=natural", "undefended": "natural", "from another ": "source=",
    "images made on ": "source=", "rank ": "rank=",
}  # fmt: skip


def words(text):
    """What a text speaks of: words, numbers, and settings as `steps=20`."""
    text = text.lower()
    for one, other in SAME.items():
        text = text.replace(one, other)
    return set(re.findall(r"[a-z]+=[\w.-]+|[a-z]+\d+", text)) | set(re.findall(r"\d+(?:\.\d+)?|[a-z]+", text))


@pytest.fixture(scope="module")
def collected():
    """By table the published numbers, one row per number, in the order of the table's cells."""
    folder = ROOT.parent / "shared" / "papers"
    if not folder.is_dir():
        pytest.skip("no folder with the collected numbers of the papers")
    found = {}
    for paper in PAPERS:
        whole = pd.read_csv(folder / f"{paper}.csv", dtype=str, keep_default_na=False)
        for name, rows in whole.groupby("table", sort=False):
            own = "tsipras_theorem2_1" if (paper, name) == ("tsipras", "text") else f"{paper}_{name}"
            if own == "trades_table2":  # formulas
                rows = rows.assign(value=rows.note.str.partition(" = ")[2])
            if own in BY_DATASET:
                places = {each: place for place, each in enumerate(dict.fromkeys(rows.dataset))}
                rows = rows.assign(place=rows.dataset.map(places)).sort_values("place", kind="stable")
            found[own] = rows[rows.value != ""].to_dict("records")
    return found


def printed(table):
    return [cell for cell in TABLES[table].cells if cell.published]


def misplaced(cells, rows):
    """The numbers that are not those of the same place."""
    return [
        (cell, row["value"])
        for cell, row in zip(cells, rows, strict=True)
        if (cell.published, cell.spread) != (row["value"], row["stderr"])
    ]


def confused(labels, rows, keys):
    """Pairs of labels of which the numbers below say no more of the own than of the other."""
    told = {}
    for label, row in zip(labels, rows, strict=True):
        said = words(" ".join(row[key] for key in keys))
        told[label] = told.get(label, said) & said
    fit = {(one, other): len(words(one) & told[other]) for one in told for other in told}
    return [
        (one, other)
        for one, other in combinations(told, 2)
        if fit[one, one] + fit[other, other] <= fit[one, other] + fit[other, one]
    ]


def test_nothing_was_collected_that_no_table_has(collected):
    assert set(collected) <= set(TABLES)
    for name in set(TABLES) - set(collected):
        assert not printed(name), name


@pytest.mark.parametrize("name", TABLES)
def test_every_printed_number_is_there_once_in_its_row_and_column(collected, name):
    cells, rows = printed(name), collected.get(name, [])
    assert len(cells) == len(rows)
    assert not misplaced(cells, rows)
    assert not confused([cell.row for cell in cells], rows, ROW)
    assert not confused([cell.column for cell in cells], rows, COLUMN)


@pytest.mark.parametrize("name", [name for name in TABLES if printed(name)])
def test_swapped_labels_and_numbers_would_be_noticed(collected, name):
    """The test above is no test if it lets two rows or columns change places."""
    cells, rows = printed(name), collected[name]
    for axis, keys in (("row", ROW), ("column", COLUMN)):
        labels = [getattr(cell, axis) for cell in cells]
        for one, other in list(permutations(dict.fromkeys(labels), 2))[:6]:
            swapped = [{one: other, other: one}.get(label, label) for label in labels]
            assert confused(swapped, rows, keys), (one, other)
    for place, other in list(combinations(range(len(cells)), 2))[:20]:
        moved = list(cells)
        moved[place], moved[other] = cells[other], cells[place]
        same = (cells[place].published, cells[place].spread) == (cells[other].published, cells[other].spread)
        assert same or misplaced(moved, rows)
