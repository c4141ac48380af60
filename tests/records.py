"""Results, plans and ledgers with verdicts that a test chooses, made without any model."""

import numpy as np

from robeval.ledger.store import Ledger
from robeval.values.attack import AttackSpec
from robeval.values.cell import Cell, CellResult, DataSlice, Verdicts
from robeval.values.plan import ModelPlan, Row
from robeval.values.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)
MADE_WITH = {"robeval": "0.1", "torch": "2.0", "device": "cpu (test)"}


def verdicts(broken, natural=None, start=0) -> Verdicts:
    """One row per entry of `broken` ("1" or "0" each); `natural` says which are right when clean (all unless said)."""
    gone = np.array([each in (1, "1", True) for each in broken])
    right = ~np.zeros_like(gone) if natural is None else np.array([each in (1, "1", True) for each in natural])
    gone = gone | ~right
    n = len(gone)
    label = (np.arange(n) % 10).astype(np.int16)
    return Verdicts(
        sample=np.arange(start, start + n),
        label=label,
        clean_predicted=np.where(right, label, label + 1).astype(np.int16),
        predicted=np.where(gone, label + 1, label).astype(np.int16),
        broken=gone,
        attacked=right,
        distance=np.where(right, np.where(gone, 0.05, np.nan), 0).astype(np.float32),
        escaped=np.zeros(n, dtype=bool),
        nonfinite=np.zeros(n, dtype=bool),
        queries=np.full(n, 3, dtype=np.int32),
        backwards=np.full(n, 2, dtype=np.int32),
    )


def spec(name="pgd20", threat=LINF, **more) -> AttackSpec:
    """An attack of a suite."""
    return AttackSpec(
        **({"id": name, "use": "pgd", "threat": threat, "params": {"steps": 20, "step_size": 0.01}} | more)
    )


def cell(attack=None, model="net", start=0, stop=4, after="", seed=0) -> Cell:
    """One cell of the test split of digits."""
    return Cell(model, "w" * 32, DataSlice("digits", "test", "c" * 32, start, stop), attack or spec(), after, seed)


def result(about: Cell, broken, natural=None, seconds=1.5) -> CellResult:
    """That cell, finished."""
    return CellResult(about, verdicts(broken, natural, about.slice.start), seconds, MADE_WITH)


def plan(model, rows, n, threat=LINF, suite="small") -> ModelPlan:
    """What a suite wants of a model; `rows` has (attacks, keys slice by slice) by id."""
    listed = tuple(Row(name, attacks, keys) for name, (attacks, keys) in rows.items())
    return ModelPlan(suite, "Small", "digits", "test", threat, model, n, 0, listed)


def fill(ledger: Ledger, model, outcomes, natural=None, threat=LINF, suite="small") -> ModelPlan:
    """Put one model's results into a ledger.

    Args:
        outcomes: each attack, and "01.." of what it broke, or None if it did not finish.
    """
    n = max(len(broken) for _, broken in outcomes if broken)
    rows = {}
    for attack, broken in outcomes:
        about = cell(attack, model, 0, n)
        rows[attack.id] = (attack,), ((about.key,),)
        if broken is not None:
            ledger.put(result(about, broken, natural))
    planned = plan(model, rows, n, threat, suite)
    ledger.put_plan(planned)
    return planned


def same(one: CellResult, other: CellResult) -> None:
    """Assert that two results are equal in every array, type and header."""
    assert (one.cell, one.seconds, dict(one.made_with)) == (other.cell, other.seconds, dict(other.made_with))
    assert one.cell.key == other.cell.key
    columns = other.verdicts.columns()
    for name, array in one.verdicts.columns().items():
        assert array.dtype == columns[name].dtype, name
        np.testing.assert_array_equal(array, columns[name], err_msg=name)
