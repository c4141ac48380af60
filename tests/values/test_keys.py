"""A cell's key covers all that can change the answer, and nothing else."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from robeval.values.attack import AttackSpec
from robeval.values.cell import Cell, DataSlice
from robeval.values.digest import digest, plain
from robeval.values.threat import ThreatModel

THREAT = ThreatModel("linf", 0.3)
SPEC = AttackSpec("pgd40", "pgd", THREAT, {"steps": 40, "step_size": 0.01}, restarts=2, select="any", version=3)
SLICE = DataSlice("mnist", "test", "content", 0, 1000)
CELL = Cell("model", "weights", SLICE, SPEC, after="before", seed=7)

OTHER_THREAT = {"norm": "l2", "eps": 0.31, "box": (0.0, 0.5)}
OTHER_SPEC = {
    "use": "fgsm",
    "params": {"steps": 41, "step_size": 0.01},
    "restarts": 3,
    "select": "best",
    "minimises": "l2",
    "score": "project",
    "eot": 20,
    "version": 4,
} | {f"threat.{name}": replace(THREAT, **{name: value}) for name, value in OTHER_THREAT.items()}
OTHER_SLICE = {"dataset": "digits", "split": "train", "content": "other", "start": 1, "stop": 999}
OTHER_CELL = {"model": "other", "weights": "other", "after": "", "seed": 8, "source": "other"}


def changed(value, others):
    """The value with each field in turn changed; names before a dot say which field it is."""
    return {name: replace(value, **{name.partition(".")[0]: other}) for name, other in others.items()}


def all_changes():
    yield from changed(CELL, OTHER_CELL).items()
    for name, part in changed(SLICE, OTHER_SLICE).items():
        yield f"slice.{name}", replace(CELL, slice=part)
    for name, spec in changed(SPEC, OTHER_SPEC).items():
        yield f"attack.{name}", replace(CELL, attack=spec)


@pytest.mark.parametrize(("name", "cell"), list(all_changes()), ids=[name for name, _ in all_changes()])
def test_every_field_changes_the_key(name, cell):
    assert cell != CELL
    assert cell.key != CELL.key


def test_no_field_is_left_out_of_the_test_above():
    assert {each.name for each in fields(Cell)} == {*OTHER_CELL, "slice", "attack"}
    assert {each.name for each in fields(DataSlice)} == set(OTHER_SLICE)
    assert {each.name for each in fields(AttackSpec)} == {name.partition(".")[0] for name in OTHER_SPEC} | {"id"}
    assert {each.name for each in fields(ThreatModel)} == set(OTHER_THREAT)


def test_all_keys_are_different():
    keys = [CELL.key, *(cell.key for _, cell in all_changes())]
    assert len(set(keys)) == len(keys)


def test_the_name_a_suite_gives_does_not_change_the_key():
    assert replace(CELL, attack=replace(SPEC, id="another name")).key == CELL.key


def test_the_order_of_parameters_does_not_change_the_key():
    turned = dict(reversed(SPEC.params.items()))
    assert list(turned) != list(SPEC.params)
    assert replace(CELL, attack=replace(SPEC, params=turned)).key == CELL.key


def test_parameters_of_another_kind_change_the_key():
    keys = {replace(CELL, attack=replace(SPEC, params={"x": value})).key for value in (1, True, "1", 1.5, "1.5")}
    assert len(keys) == 5


def test_the_key_is_the_same_in_every_process_and_release():
    """If this fails, every ledger in the world is computed again."""
    assert CELL.key == "022bd0582d94454530032af4dfa984bf"
    code = "from test_keys import CELL; print(CELL.key)"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(__file__.rpartition('/')[0])!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "123"},
    )
    assert found.stdout.strip() == CELL.key


# ── digests ──


def test_digest_of_equal_values_in_another_form():
    assert digest({"a": [1, 2], "b": None}) == digest({"b": None, "a": (1, 2)})
    assert digest(THREAT) == digest({"norm": "linf", "eps": 0.3, "box": [0.0, 1.0]})
    assert len(digest("")) == 32


def test_digest_sees_the_last_bit_of_a_number():
    assert digest(0.1 + 0.2) != digest(0.3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_without_a_canonical_form_are_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        digest(value)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), {"a": {1}}])
def test_values_without_a_canonical_form_are_refused(value):
    with pytest.raises(TypeError, match="no canonical form"):
        digest(value)


def test_plain_goes_all_the_way_down():
    found = plain(CELL)
    assert found["attack"]["threat"] == {"norm": "linf", "eps": 0.3, "box": [0.0, 1.0]}
    assert found["slice"]["stop"] == 1000
    assert "id" in found["attack"]
    assert "id" not in SPEC.identity()
