"""What is put into a ledger comes out again, whole; what is damaged is set aside."""

import json
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import records

from robeval.errors import UserError
from robeval.ledger import codec, parquet
from robeval.ledger.store import Ledger
from robeval.values.attack import AttackSpec
from robeval.values.cell import CellFailure, Verdicts
from robeval.values.threat import ThreatModel


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def cells(ledger):
    return sorted(ledger.root.glob("cells/**/*.parquet"))


# ── results ──


def test_a_new_ledger_is_empty_and_makes_no_folder(ledger):
    assert ledger.get("a" * 32) is None
    assert "a" * 32 not in ledger
    assert list(ledger.plans()) == []
    assert ledger.settings() == {}
    assert ledger.failure("a" * 32) is None
    assert not ledger.root.exists()


def test_what_is_put_comes_out_equal(ledger):
    about = records.cell(records.spec(restarts=3, select="any", version=2), start=1000, stop=1004, after="k" * 32)
    made = records.result(about, "0110", "1101", seconds=0.1 + 0.2)
    ledger.put(made)
    assert about.key in ledger
    records.same(ledger.get(about.key), made)
    records.same(Ledger(ledger.root).get(about.key), made)


def test_every_value_survives(ledger):
    params = {"steps": 7, "step_size": 1 / 3, "loss": "dlr", "random_start": False, "kappa": None}
    attack = AttackSpec("häßlich | id", "pgd", ThreatModel("l2", 2 / 3, (-1.0, 1.0)), params)
    about = records.cell(attack, start=2**40, stop=2**40 + 3, seed=2**62)
    extremes = Verdicts(
        sample=np.array([2**40, 2**40 + 1, 2**40 + 2]),
        label=np.array([0, 9, 32767], dtype=np.int16),
        clean_predicted=np.array([-1, 9, 32767], dtype=np.int16),
        predicted=np.array([0, 0, 1], dtype=np.int16),
        broken=np.array([True, False, True]),
        attacked=np.array([False, True, True]),
        distance=np.array([0, np.nan, np.float32(1) / 3], dtype=np.float32),
        escaped=np.array([False, False, True]),
        nonfinite=np.array([True, False, False]),
        queries=np.array([0, 2**31 - 1, 5], dtype=np.int32),
        backwards=np.array([0, 1, 2], dtype=np.int32),
    )
    made = records.CellResult(about, extremes, 1e-9, {"device": "naïve"})
    ledger.put(made)
    records.same(ledger.get(about.key), made)


def test_what_else_was_measured_comes_out_equal_and_is_under_the_checksum(ledger):
    losses = np.array([0.1, np.nan, np.inf, 2.0], dtype=np.float32)
    made = replace(records.result(records.cell(), "0110"), more={"cross_entropy": losses})
    ledger.put(made)
    found = ledger.get(made.cell.key)
    records.same(found, made)
    assert found.more["cross_entropy"].tobytes() == losses.tobytes()
    other = replace(made, more={"cross_entropy": losses + 1})
    header, _ = parquet.decode(codec.encode(made), ())
    assert header["sha256"] != parquet.decode(codec.encode(other), ())[0]["sha256"]


def test_a_result_put_again_replaces_the_first(ledger):
    about = records.cell()
    ledger.put(records.result(about, "0000"))
    ledger.put(records.result(about, "0101"))
    assert list(ledger.get(about.key).verdicts.broken) == [False, True, False, True]
    assert len(cells(ledger)) == 1


def test_the_key_is_of_all_that_can_change_the_answer():
    threats = [ThreatModel("linf", 0.2), ThreatModel("l2", 0.1), ThreatModel("linf", 0.1, (-1.0, 1.0))]
    attacks = [records.spec(threat=threat) for threat in threats]
    attacks += [records.spec(**change) for change in ({"use": "fgsm"}, {"restarts": 2}, {"select": "any"})]
    attacks += [records.spec(**change) for change in ({"version": 2}, {"params": {"steps": 20, "step_size": 0.02}})]
    different = [records.cell(attack) for attack in attacks]
    different += [records.cell(**change) for change in ({"start": 1}, {"stop": 5}, {"after": "x"}, {"seed": 1})]
    keys = {about.key for about in [records.cell(), *different]}
    assert len(keys) == 1 + len(different)
    assert records.cell(records.spec("called otherwise")).key == records.cell().key


# ── the folder as one table ──


def test_pandas_reads_the_folder_as_one_table(ledger):
    for model in ("net", "other"):
        for attack in (records.spec(), records.spec("l2", ThreatModel("l2", 1.0), params={}, select="any")):
            for start in (0, 4):
                ledger.put(records.result(records.cell(attack, model, start, start + 4), "0101"))
    folder = cells(ledger)[0].parent
    (folder / ".left.parquet.123.tmp").write_bytes(b"PAR1 half a file")
    (ledger.root / "cells" / ".left.parquet.9.tmp").write_bytes(b"")
    table = pd.read_parquet(ledger.root / "cells")
    assert len(table) == 2 * 2 * 8
    assert {"cell", "model", "dataset", "attack", "norm", "eps", "select"} <= set(table.columns)
    assert set(Verdicts.__dataclass_fields__) <= set(table.columns)
    counted = table.groupby(["model", "attack", "norm", "eps", "select"]).broken.sum()
    assert counted.to_dict() == {
        (model, *attack): 4
        for model in ("net", "other")
        for attack in (("pgd20", "linf", 0.1, "final"), ("l2", "l2", 1.0, "any"))
    }
    one = table[(table.model == "net") & (table.attack == "pgd20")]
    assert sorted(one["sample"]) == list(range(8))


def test_the_header_says_what_was_asked_and_what_it_was_made_with(ledger):
    about = records.cell(seed=7)
    ledger.put(records.result(about, "0101", seconds=2.5))
    (path,) = cells(ledger)
    assert path.name == f"{about.key}.parquet"
    header = json.loads(pq.read_metadata(path).metadata[b"robeval"])
    assert header["key"] == about.key
    assert header["seconds"] == 2.5
    assert header["made_with"] == records.MADE_WITH
    assert header["cell"]["seed"] == 7
    assert header["cell"]["attack"]["params"] == {"steps": 20, "step_size": 0.01}
    assert header["cell"]["attack"]["threat"] == {"norm": "linf", "eps": 0.1, "box": [0.0, 1.0]}
    assert header["cell"]["slice"]["dataset"] == "digits"


# ── damage ──


def without(name):
    """The file without one column."""

    def spoil(path):
        pq.write_table(pq.read_table(path).drop_columns([name]), path)

    return spoil


def with_header(change):
    """The file with another header."""

    def spoil(path):
        table = pq.read_table(path)
        header = json.loads(table.schema.metadata[b"robeval"])
        changed = json.dumps(change(header)).encode()
        pq.write_table(table.replace_schema_metadata({b"robeval": changed}), path)

    return spoil


def flip_verdict(path):
    """The file with one sample more broken, and everything else as it was."""
    table = pq.read_table(path)
    place = table.schema.get_field_index("broken")
    broken = table["broken"].to_pylist()
    changed = table.set_column(place, "broken", [[not broken[0], *broken[1:]]])
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)


DAMAGES = {
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte only": lambda path: path.write_bytes(b"P"),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(random.Random(0).randbytes(5000)),
    "garbage inside": lambda path: path.write_bytes(b"PAR1" + b"\xff" * 5000 + b"PAR1"),
    "a web page": lambda path: path.write_text("<html>not found</html>"),
    "another table": lambda path: pd.DataFrame({"x": [1, 2]}).to_parquet(path),
    "no header": lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata(None), path),
    "without a column": without("broken"),
    "a strange header": with_header(lambda header: [1, 2]),
    "a header without its cell": with_header(lambda header: {"key": header["key"]}),
    "other seconds": with_header(lambda header: header | {"seconds": 0.0}),
    "another verdict": flip_verdict,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cell_is_set_aside_and_due_again(ledger, damage):
    made = records.result(records.cell(), "0101")
    whole = records.result(records.cell(model="other"), "0000")
    for each in (made, whole):
        ledger.put(each)
    key = made.cell.key
    path = ledger.root / "cells" / key[:2] / f"{key}.parquet"
    DAMAGES[damage](path)
    spoiled = path.read_bytes()

    assert ledger.get(key) is None
    aside = ledger.root / "damaged" / path.name
    assert aside.read_bytes() == spoiled
    assert not path.exists()
    (note,) = ledger.notes()
    assert str(aside) in note
    assert key not in ledger
    assert len(ledger.notes()) == 1
    records.same(ledger.get(whole.cell.key), whole)
    ledger.put(made)
    records.same(ledger.get(key), made)


def test_no_flipped_bit_changes_a_number_unseen(ledger):
    made = records.result(records.cell(stop=200), "0110" * 50)
    ledger.put(made)
    key = made.cell.key
    (path,) = cells(ledger)
    content = path.read_bytes()
    for place in range(0, len(content), 17):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        if found := ledger.get(key):  # as in the columns that we do not read
            records.same(found, made)
    assert ledger.set_aside


def test_a_file_of_another_cell_is_set_aside(ledger):
    one, other = records.cell(), records.cell(model="other")
    ledger.put(records.result(one, "0101"))
    (path,) = cells(ledger)
    place = ledger.root / "cells" / other.key[:2] / f"{other.key}.parquet"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(path.read_bytes())
    assert ledger.get(other.key) is None
    assert (ledger.root / "damaged" / place.name).exists()
    assert one.key in ledger


@pytest.mark.parametrize("place", ["cells/{start}/{key}.parquet", "settings.json", "failures/{key}.json"])
def test_a_folder_where_a_file_should_be_is_a_user_error(ledger, place):
    key = records.cell().key
    path = ledger.root / place.format(start=key[:2], key=key)
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be read") as caught:
        _ = ledger.get(key), ledger.settings(), ledger.failure(key)
    assert caught.value.where == str(path)
    assert "--out" in caught.value.fix


def test_a_damaged_file_that_cannot_be_moved_is_a_user_error(ledger):
    made = records.result(records.cell(), "0101")
    ledger.put(made)
    (path,) = cells(ledger)
    path.write_bytes(b"cut")
    (ledger.root / "damaged").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="damaged") as caught:
        ledger.get(made.cell.key)
    assert caught.value.where == str(path)


# ── failures ──


def test_a_failure_is_kept_and_is_no_result(ledger):
    about = records.cell()
    ledger.fail(CellFailure(about, "RuntimeError: no", "Traceback ...\nRuntimeError: no"))
    assert about.key not in ledger
    assert ledger.failure(about.key) == "RuntimeError: no"
    (path,) = (ledger.root / "failures").iterdir()
    text = json.loads(path.read_text())
    assert text["traceback"].startswith("Traceback")
    assert text["cell"]["model"] == "net"


def test_a_success_forgets_the_failure(ledger):
    one, other = records.cell(), records.cell(model="other")
    for about in (one, other):
        ledger.fail(CellFailure(about, "no", ""))
    ledger.put(records.result(one, "0101"))
    assert ledger.failure(one.key) is None
    assert ledger.failure(other.key) == "no"
    assert [path.stem for path in (ledger.root / "failures").iterdir()] == [other.key]


# ── plans ──


def test_plans_come_out_equal_in_the_order_of_their_names(ledger):
    attack = records.spec(params={"steps": 3, "kappa": None, "loss": "ce", "random_start": True, "step_size": 0.01})
    rows = {"pgd20": ((attack,), (("k1",), ("k2",))), "both": ((attack, records.spec("b")), (("k3", "k4"),))}
    plans = [records.plan(model, rows, 8) for model in ("b", "a")]
    for plan in plans:
        ledger.put_plan(plan)
    assert list(Ledger(ledger.root).plans()) == [plans[1], plans[0]]


def test_a_plan_put_again_replaces_the_first(ledger):
    ledger.put_plan(records.plan("a", {}, 8))
    ledger.put_plan(records.plan("a", {}, 9))
    assert [plan.n for plan in ledger.plans()] == [9]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"rows": 5}', '{"rows": [{}]}', "\x00\x01", '{"suite": "s"}'])
def test_a_broken_plan_is_set_aside_and_the_others_are_read(ledger, content):
    for model in ("a", "b"):
        ledger.put_plan(records.plan(model, {}, 8))
    (ledger.root / "plans" / "small--a.json").write_text(content)
    assert [plan.model for plan in ledger.plans()] == ["b"]
    assert (ledger.root / "damaged" / "small--a.json").read_text() == content
    assert len(ledger.notes()) == 1


# ── settings ──


def test_settings_are_kept_beside_each_other(ledger):
    ledger.set("shapes", {"net": {"rows": 64}})
    ledger.set("other", 5)
    ledger.set("shapes", {"net": {"rows": 32}})
    assert Ledger(ledger.root).settings() == {"shapes": {"net": {"rows": 32}}, "other": 5}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"a": 1'])
def test_broken_settings_are_set_aside_and_made_anew(ledger, content):
    ledger.set("shapes", {})
    (ledger.root / "settings.json").write_bytes(content)
    assert ledger.settings() == {}
    assert (ledger.root / "damaged" / "settings.json").read_bytes() == content
    ledger.set("shapes", {"a": 1})
    assert ledger.settings() == {"shapes": {"a": 1}}
