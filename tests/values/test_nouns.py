"""Small promises of the nouns: frozen, without torch, and numbers as people write them."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from robeval.values.attack import SELECTS, AttackSpec
from robeval.values.cell import Cell, DataSlice, Verdicts
from robeval.values.plan import ModelPlan, Plan, Task
from robeval.values.table import Table
from robeval.values.threat import NORMS, ThreatModel, parse_number, spell

THREAT = ThreatModel("linf", 0.3)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("8/255", 8 / 255),
        ("0.031", 0.031),
        (" 8 / 255 ", 8 / 255),
        ("1e-3", 1e-3),
        (0.3, 0.3),
        (1, 1.0),
        (0, 0.0),
        (-2, -2.0),
        ("", None),
        ("8/0", None),
        ("8/", 8.0),
        ("8//255", None),
        ("1/2/3", None),
        ("eight", None),
        ("nan", None),
        ("inf", None),
        (float("nan"), None),
        (float("-inf"), None),
        (True, None),
        (None, None),
        ([0.3], None),
    ],
)
def test_numbers_and_fractions(given, number):
    assert parse_number(given) == number
    assert number is None or type(parse_number(given)) is float


@pytest.mark.parametrize(
    ("number", "expected"),
    [(8 / 255, "8/255"), (0.031, "0.031"), (0.2, "0.2"), (1.0, "1.0"), (3 / 16, "0.1875"), (1e-7, "1e-07")],
)
def test_radii_are_written_as_people_write_them_and_read_back_exactly(number, expected):
    assert spell(number) == expected
    assert parse_number(spell(number)) == number
    assert str(ThreatModel("l2", number)) == f"l2 {expected}"


def test_values_do_not_change_after_they_are_made():
    for value, name in ((THREAT, "eps"), (AttackSpec("a", "pgd", THREAT), "use"), (Table("", (), ()), "rows")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 1)


def test_defaults_are_those_of_the_papers():
    spec = AttackSpec("a", "pgd", THREAT)
    assert (spec.restarts, spec.select, spec.params) == (1, "final", {})
    assert (spec.minimises, spec.score, spec.eot) == ("", "threshold", 1)
    assert THREAT.box == (0.0, 1.0)
    assert SELECTS == ("final", "best", "any")
    assert NORMS == ("linf", "l2", "l1")


def test_a_plan_lists_its_cells_in_the_order_they_are_run():
    cells = [
        Cell("m", "w", DataSlice("d", "test", "c", start, start + 1), AttackSpec("a", "pgd", THREAT))
        for start in range(4)
    ]
    assert Plan((Task(tuple(cells[:1])), Task(tuple(cells[1:]))), ()).cells == tuple(cells)


def test_the_name_of_a_plan_holds_suite_and_model():
    assert ModelPlan("suite", "", "d", "test", THREAT, "model", 1, 0, ()).name == "suite--model"


def test_columns_are_the_fields_in_order():
    arrays = {each.name: np.zeros(2) for each in fields(Verdicts)}
    assert list(Verdicts(**arrays).columns()) == list(arrays)


def test_columns_of_numbers_are_known():
    table = Table("", ("model", "robust", "empty"), (("a", "95.75", ""), ("b", "–", ""), ("c", "INCOMPLETE", "")))
    assert [table.is_number(column) for column in range(3)] == [False, True, False]


def test_nouns_need_no_torch():
    code = (
        "import sys, robeval.values.plan, robeval.values.suite, robeval.values.card; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
