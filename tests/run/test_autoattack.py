"""AutoAttack as a chain: with few classes, part by part, and as a row of the table."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from doubles import COLOUR, ConvNet, classes, images, loaded, samples

from robeval.ledger.store import Ledger
from robeval.reports import measure
from robeval.run.drive import execute
from robeval.run.local import Local
from robeval.run.plan import make_plan, resolved
from robeval.suites.autoattack import autoattack
from robeval.values.attack import AttackSpec
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel


def ran(folder, k, version="standard", norm="linf", eps=0.05, n=8):
    """The chain's plan, table and ledger on a small network with k classes; Square is cut short."""
    model, x = ConvNet(COLOUR, k), images(n, COLOUR)
    threat = ThreatModel(norm, eps)
    chain = autoattack("aa", threat, version=version)
    short = {"apgd": {"steps": 12}, "apgd_targeted": {"steps": 6}, "square": {"queries": 40}, "fab": {"steps": 4}}
    short["fab_targeted"] = short["fab"]
    attacks = tuple(
        AttackSpec(
            **{name: getattr(spec, name) for name in spec.__slots__} | {"params": {**spec.params, **short[spec.use]}}
        )
        for spec in chain.attacks
    )
    clean = AttackSpec("clean", "clean", threat)
    chains = Chain("clean", (clean,)), Chain(chain.id, attacks, chain.fit_targets)
    suite = Suite("suite", "A suite", "made", "test", threat, chains)
    data = samples(x, classes(model, x), k)
    plan = make_plan(resolved(suite), [loaded(model, k)], data, limit=None, seed=0)
    ledger = Ledger(folder)
    executor = Local({"model": loaded(model, k)}, data, ledger, torch.device("cpu"), microbatch=8)
    assert execute(plan, ledger, executor, lambda _: None) == 0
    return plan, measure.results(ledger, plan.models).set_index("attack"), ledger


@pytest.mark.parametrize(
    ("k", "targets", "targeted"), [(2, 1, "difference"), (3, 2, "difference"), (4, 3, "dlr"), (12, 9, "dlr")]
)
def test_targets_and_losses_follow_the_number_of_classes_and_are_recorded(tmp_path, k, targets, targeted):
    _, table, _ = ran(tmp_path, k)
    assert f"targets={targets}" in table.params["aa.apgd_t"]
    assert f"loss={targeted}" in table.params["aa.apgd_t"]
    assert f"targets={targets}" in table.params["aa.fab_t"]
    assert (table.status == "complete").all()
    assert table.escaped.sum() == 0


@pytest.mark.parametrize(("k", "loss"), [(2, "margin"), (3, "dlr")])
def test_plus_takes_the_margin_where_dlr_needs_more_classes(tmp_path, k, loss):
    plan, table, _ = ran(tmp_path, k, "plus")
    assert f"loss={loss}" in table.params["aa.apgd_dlr"]
    assert [cell.attack.use for cell in plan.cells][1:] == [
        "apgd", "apgd", "fab", "square", "apgd_targeted", "fab_targeted"
    ]  # fmt: skip


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.3), ("l1", 2.0)])
def test_other_norms(tmp_path, norm, eps):
    _, table, _ = ran(tmp_path, 10, norm=norm, eps=eps)
    assert (table.status == "complete").all()
    assert table.escaped.sum() == 0
    assert f"targets={5 if norm == 'l1' else 9}" in table.params["aa.apgd_t"]
    assert table.restarts["aa.apgd_ce"] == (5 if norm == "l1" else 1)


def test_plus_in_l1_has_nine_targets():
    (spec,) = [
        each
        for each in autoattack("aa", ThreatModel("l1", 12.0), version="plus").attacks
        if each.use == "apgd_targeted"
    ]
    assert spec.params["targets"] == 9


def test_rand_averages_gradients(tmp_path):
    _, table, _ = ran(tmp_path, 10, "rand")
    assert table.eot["aa.apgd_ce"] == table.eot["aa.apgd_dlr"] == 20
    assert table["select"]["aa.apgd_ce"] == "final"
    assert table.backwards["aa.apgd_ce"] % 20 == 0


def test_each_part_sees_what_those_before_left_and_the_chain_is_its_last_part(tmp_path):
    plan, table, ledger = ran(tmp_path, 10, eps=0.02, n=16)
    parts = [ledger.get(cell.key).verdicts for cell in plan.cells if cell.attack.id.startswith("aa.")]
    assert len(parts) == 4
    for before, after in pairwise(parts):
        assert np.array_equal(after.attacked, ~before.broken)
        assert (after.broken >= before.broken).all()
    left = [table.robust_accuracy[f"aa.{name}"] for name in ("apgd_ce", "apgd_t", "fab_t", "square")]
    assert left == sorted(left, reverse=True)
    assert table.robust_accuracy["aa"] == left[-1] == table.robust_accuracy["worst_case"]
    assert 0 < left[-1] < 1
    assert table.forwards["aa"] == sum(
        table.forwards[f"aa.{name}"] for name in ("apgd_ce", "apgd_t", "fab_t", "square")
    )
    assert set(table.part_of) == {"", "aa"}
