"""docs/results/papers.md has every table, and of each what can be measured in miniature."""

import re
from pathlib import Path

import pytest

from robeval.reports import papers

PAGE = (Path(__file__).parents[2] / "docs" / "results" / "papers.md").read_text(encoding="utf-8")
TABLES = papers.catalog()
HEADS = re.compile(r"^## (\w+): (.*)$", re.MULTILINE)


def sections(page):
    """The title and text of each table's section."""
    heads = list(HEADS.finditer(page))
    ends = [*(head.start() for head in heads[1:]), len(page)]
    return {head[1]: (head[2], page[head.end() : end]) for head, end in zip(heads, ends, strict=True)}


def measured(text):
    """Row and column of every cell that stands in the tables of a section; a row's label stands in its first line."""
    found, label = set(), ""
    for line in text.splitlines():
        cells = [each.strip().replace("\\", "") for each in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[:2] == ["row", "cell"] or not cells or set(cells[0]) in ({":", "-"}, {"-"}):
            label = ""
            continue
        label = cells[0] or label
        found.add((label, cells[1]))
    return found


SECTIONS = sections(PAGE)


def test_every_table_has_its_section():
    assert {name: table.title for name, table in TABLES.items()} == {
        name: title.replace("\\", "") for name, (title, _) in SECTIONS.items()
    }


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_miniature_is_measured_or_left_out_for_a_reason(name):
    table, (_, text) = TABLES[name], SECTIONS[name]
    wanted = {(cell.row, cell.column): cell.left_out for cell in table.cells if "digits" in cell.asks}
    missing = {place: reason for place, reason in wanted.items() if place not in measured(text)}
    assert [place for place, reason in missing.items() if not reason or reason not in text] == []
