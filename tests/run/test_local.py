"""Running tasks on this machine: one recorded shape, failures that are no results, and the same bits always."""

from dataclasses import replace

import doubles
import numpy as np
import pytest
import torch
from doubles import COLOUR, ConvNet, Watched, classes, images, loaded, samples
from torch import nn

from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.run import bench
from robeval.run.bench import Shape
from robeval.run.drive import execute
from robeval.run.local import Local, Progress
from robeval.run.plan import make_plan, pending, resolved
from robeval.values.attack import AttackSpec
from robeval.values.cell import CellFailure, CellResult
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel

CPU = torch.device("cpu")
LINF, L2 = ThreatModel("linf", 0.03), ThreatModel("l2", 0.15)
PGD = {"steps": 5, "step_size": 0.01}
MODEL = ConvNet(COLOUR)
X = images(22, COLOUR)
Y = classes(MODEL, X)
Y[::10] = (Y[::10] + 1) % 10
DATA = samples(X, Y, 10)
SPECS = (
    AttackSpec("clean", "clean", LINF),
    AttackSpec("pgd", "pgd", LINF, PGD, restarts=2),
    AttackSpec("pgd any", "pgd", L2, {"steps": 5, "step_size": 0.05}, restarts=2, select="any"),
    AttackSpec("mifgsm best", "mifgsm", LINF, {"steps": 4}, select="best"),
)
LATER = tuple(replace(spec, id=f"{spec.id}, later") for spec in SPECS[1:])
CHAINS = (*(Chain(spec.id, (spec,)) for spec in SPECS), Chain("chain", LATER))


def suite(*chains, slice_size=16):
    return Suite("suite", "", "made", "test", LINF, chains or CHAINS, slice_size)


def plan_of(about, model=MODEL, seed=0):
    return make_plan(resolved(about), [loaded(model, 10)], DATA, limit=None, seed=seed)


def local(ledger, model=MODEL, microbatch=8, listen=None, device=CPU):
    return Local({"model": loaded(model, 10)}, DATA, ledger, device, microbatch, listen)


def run(folder, about, model=MODEL, microbatch=8):
    """All outcomes in order, recorded in a ledger."""
    ledger, outcomes = Ledger(folder), []
    execute(plan_of(about, MODEL), ledger, local(ledger, model, microbatch), outcomes.append)
    return ledger, outcomes


def verdicts(outcomes):
    """The columns of each attack, alone or later in a chain, over all slices."""
    found = {}
    for outcome in sorted(outcomes, key=lambda each: each.cell.slice.start):
        for name, column in outcome.verdicts.columns().items():
            found.setdefault((outcome.cell.attack.id, name), []).append(column)
    return {key: np.concatenate(parts) for key, parts in found.items()}


def identical(one, other):
    assert one.keys() == other.keys()
    for key, column in one.items():
        assert column.tobytes() == other[key].tobytes(), key


# ── the same bits ──


@pytest.mark.parametrize("slice_size", [1, 7, 22])
def test_shards_change_no_bit(tmp_path, slice_size):
    _, whole = run(tmp_path / "whole", suite(slice_size=16))
    _, cut = run(tmp_path / "cut", suite(slice_size=slice_size))
    identical(verdicts(whole), verdicts(cut))


def test_order_changes_no_bit(tmp_path):
    plan, one, other = plan_of(suite()), Ledger(tmp_path / "one"), Ledger(tmp_path / "other")
    forth = {outcome.cell.key: outcome for outcome in local(one).run(plan.tasks)}
    back = {outcome.cell.key: outcome for outcome in local(other).run(reversed(plan.tasks))}
    assert forth.keys() == back.keys()
    for key, outcome in forth.items():
        identical(outcome.verdicts.columns(), back[key].verdicts.columns())


@pytest.mark.parametrize("stop", [1, 2, 5, 9, 11])
def test_stopping_anywhere_and_going_on_changes_no_bit(tmp_path, stop):
    class StopError(Exception):
        pass

    def listen(outcome):
        heard.append(outcome)
        if len(heard) == stop:
            raise StopError

    plan, whole, cut, heard = plan_of(suite()), Ledger(tmp_path / "whole"), Ledger(tmp_path / "cut"), []
    execute(plan, whole, local(whole), lambda _: None)
    with pytest.raises(StopError):
        execute(plan, cut, local(cut), listen)
    due = [cell for task in pending(plan, cut) for cell in task.cells]
    finished = {outcome.cell.key for outcome in heard}
    assert {cell.key for cell in due} == {cell.key for cell in plan.cells} - finished
    execute(plan, cut, local(cut), lambda _: None)
    for cell in plan.cells:
        one, other = whole.get(cell.key), cut.get(cell.key)
        assert one.cell.key == other.cell.key == cell.key
        identical(one.verdicts.columns(), other.verdicts.columns())


def test_results_say_what_they_were_made_with(tmp_path):
    _, (outcome, *_) = run(tmp_path, suite())
    assert outcome.made_with["microbatch"] == "8"
    assert outcome.made_with["torch"] == torch.__version__
    assert outcome.made_with["device"].startswith("cpu")
    assert outcome.seconds > 0


# ── the batch shape ──


def shapes(ledger):
    return [Shape(shape["rows"], shape["threads"]) for shape in ledger.settings()["shapes"].values()]


def test_the_shape_is_recorded_and_the_second_run_does_not_probe(tmp_path, monkeypatch):
    about = suite(CHAINS[0])
    ledger, _ = run(tmp_path, about, microbatch=None)
    (shape,) = shapes(ledger)
    monkeypatch.setattr("robeval.run.local.probe", lambda *_: pytest.fail("it probes again"))
    asked = Watched(MODEL)
    again = local(Ledger(tmp_path), asked, microbatch=None)
    list(again.run(plan_of(about).tasks))
    assert set(asked.sizes) == {shape.rows}


def test_the_recorded_shape_is_used_even_if_a_probe_would_find_another(tmp_path, monkeypatch):
    ledger, _ = run(tmp_path, suite(CHAINS[0]), microbatch=5)
    monkeypatch.setattr("robeval.run.local.probe", lambda *_: Shape(32, 1))
    asked = Watched(MODEL)
    list(local(Ledger(tmp_path), asked, microbatch=None).run(plan_of(suite(CHAINS[1])).tasks))
    assert set(asked.sizes) == {5}
    assert [shape.rows for shape in shapes(ledger)] == [5]


def test_another_shape_than_the_recorded_one_is_refused(tmp_path):
    about = suite(CHAINS[0])
    run(tmp_path, about, microbatch=8)
    with pytest.raises(UserError, match=r"--microbatch: 16, but .* was begun with 8 for 'model'"):
        list(local(Ledger(tmp_path), microbatch=16).run(plan_of(about).tasks))
    assert len(list(local(Ledger(tmp_path), microbatch=8).run(plan_of(about).tasks))) == 2


def test_each_model_has_its_own_shape(tmp_path):
    ledger = Ledger(tmp_path)
    models = {name: loaded(ConvNet(COLOUR), 10, name) for name in ("a", "b")}
    plan = make_plan(resolved(suite(CHAINS[0])), list(models.values()), DATA, limit=None, seed=0)
    ledger.set("shapes", {f"b {models['b'].fingerprint} 3x6x6 cpu": {"rows": 3, "threads": 1}})
    a, b = plan.tasks[:2], plan.tasks[2:]
    outcomes = list(Local(models, DATA, ledger, CPU, None).run([*b, *a, *b]))
    assert [outcome.made_with["microbatch"] == "3" for outcome in outcomes] == [True, True, False, False, True, True]
    assert len(shapes(ledger)) == 2


def test_the_model_only_ever_sees_the_shape(tmp_path):
    asked = Watched(MODEL)
    run(tmp_path, suite(), asked, microbatch=8)
    assert set(asked.sizes) == {8}


# ── memory ──


def crowded(folder, model, rows):
    """A run that is to use so many rows."""
    ledger = Ledger(folder)
    name = f"model {loaded(model, 10).fingerprint} 3x6x6 cpu"
    ledger.set("shapes", {name: {"rows": rows, "threads": 1}})
    return ledger


def test_out_of_memory_halves_the_shape_and_gives_results(tmp_path):
    asked = Watched(MODEL, most=10)
    ledger = crowded(tmp_path / "crowded", asked, 64)
    outcomes = []
    assert execute(plan_of(suite()), ledger, local(ledger, asked, None), outcomes.append) == 0
    assert [shape.rows for shape in shapes(ledger)] == [8]
    assert set(asked.sizes) == {8}
    assert {outcome.made_with["microbatch"] for outcome in outcomes} == {"8"}
    _, wanted = run(tmp_path / "roomy", suite(), microbatch=8)
    for mine, theirs in zip(outcomes, wanted, strict=True):
        identical(mine.verdicts.columns(), theirs.verdicts.columns())


def test_a_run_that_needs_more_memory_later_goes_on_with_less(tmp_path):
    class Growing(Watched):
        def forward(self, x):
            self.most = None if len(self.sizes) < 10 else 4
            return super().forward(x)

    asked = Growing(MODEL)
    ledger = crowded(tmp_path, asked, 16)
    outcomes = list(local(ledger, asked, None).run(plan_of(suite(CHAINS[1])).tasks))
    assert all(isinstance(outcome, CellResult) for outcome in outcomes)
    assert [outcome.made_with["microbatch"] for outcome in outcomes] == ["4", "4"]


def test_not_even_one_row_fits(tmp_path):
    asked = Watched(MODEL, most=0)
    ledger = crowded(tmp_path, asked, 4)
    (outcome, *_) = local(ledger, asked, None).run(plan_of(suite(CHAINS[0])).tasks)
    assert isinstance(outcome, CellFailure)
    assert outcome.reason == "OutOfMemoryError: 1 rows are too many"


@pytest.mark.parametrize("microbatch", [None, 64])
def test_a_model_too_large_for_the_first_shape_that_is_tried(tmp_path, microbatch):
    asked = Watched(MODEL, most=5)
    ledger = Ledger(tmp_path)
    outcomes = list(local(ledger, asked, microbatch).run(plan_of(suite(CHAINS[0])).tasks))
    assert all(isinstance(outcome, CellResult) for outcome in outcomes)
    assert [shape.rows for shape in shapes(ledger)] == [4]
    assert len(list(local(ledger, asked, microbatch).run(plan_of(suite(CHAINS[1])).tasks))) == 2  # the same goes on


def test_a_probe_stops_at_the_largest_shape_that_fits():
    shape = bench.probe(Watched(MODEL, most=40), COLOUR, CPU)
    assert shape.rows in (16, 32)


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_which_errors_are_a_lack_of_memory(error, short):
    assert bench.out_of_memory(error) is short


# ── failures ──


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (doubles.wrong_shape, "ValueError: the attack returned"),
        (doubles.wrong_dtype, "ValueError: the attack returned"),
        (doubles.raises, "RuntimeError: this attack gives up"),
    ],
)
def test_an_attack_that_fails_is_recorded_and_never_counted(tmp_path, enter, attack, reason):
    spec = AttackSpec("cheat", enter(attack), LINF)
    chains = Chain("cheat", (spec, SPECS[0])), CHAINS[0]
    plan, ledger, heard = plan_of(suite(*chains)), Ledger(tmp_path), []
    assert execute(plan, ledger, local(ledger), heard.append) == 2
    failures = [outcome for outcome in heard if isinstance(outcome, CellFailure)]
    assert [failure.cell.attack.id for failure in failures] == 2 * ["cheat"], "the rest of the chain is left out"
    assert all(failure.reason.startswith(reason) for failure in failures)
    assert all(attack.__name__ in failure.traceback or "judge" in failure.traceback for failure in failures)
    assert len(heard) == 4, "the other attack is run"
    for failure in failures:
        assert failure.cell.key not in ledger
        assert ledger.failure(failure.cell.key) == failure.reason
    assert {cell.attack.id for task in pending(plan, ledger) for cell in task.cells} == {"cheat", "clean"}


def test_a_cheat_is_a_result_that_says_so(tmp_path, enter):
    spec = AttackSpec("cheat", enter(doubles.outside_ball), LINF)
    _, outcomes = run(tmp_path, suite(Chain("cheat", (spec,))))
    for outcome in outcomes:
        assert np.array_equal(outcome.verdicts.escaped, outcome.verdicts.attacked)
        assert np.array_equal(outcome.verdicts.broken, ~outcome.verdicts.attacked)


def test_what_one_cell_asks_in_vain_fails_that_cell_with_a_sentence(tmp_path):
    class Opaque(nn.Module):
        def forward(self, x):
            return MODEL(x).detach()

    ledger = Ledger(tmp_path)
    (outcome, *_) = local(ledger, Opaque()).run(plan_of(suite(CHAINS[1])).tasks)
    assert isinstance(outcome, CellFailure)
    assert outcome.reason.startswith("model: its logits have no gradient to the image")


def test_a_model_without_gradients_can_be_judged(tmp_path):
    class Opaque(nn.Module):
        def forward(self, x):
            return MODEL(x).detach()

    for microbatch in (8, None):
        _, outcomes = run(tmp_path / str(microbatch), suite(CHAINS[0]), Opaque(), microbatch)
        assert [int(outcome.verdicts.broken.sum()) for outcome in outcomes] == [2, 1]


def test_a_chain_resumed_from_a_ledger_warns_of_nothing(tmp_path, recwarn):
    torch.set_warn_always(True)  # not only the first time in a process
    about = suite(CHAINS[4])
    plan, ledger = plan_of(about), Ledger(tmp_path)
    first = next(iter(local(ledger).run(plan.tasks)))
    ledger.put(first)
    execute(plan, ledger, local(ledger), lambda _: None)
    torch.set_warn_always(False)
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


# ── surroundings ──


def test_progress_within_cells_is_told(tmp_path):
    told = []
    list(local(Ledger(tmp_path), listen=told.append).run(plan_of(suite(CHAINS[1], slice_size=40)).tasks))
    assert [progress.share for progress in told] == pytest.approx([each / 10 for each in range(10)])
    assert isinstance(told[0], Progress)
    assert told[0].cell.attack.id == "pgd"


def test_torch_is_left_as_it_was(tmp_path):
    def state():
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        return (
            torch.get_num_threads(),
            cudnn.allow_tf32,
            matmul.allow_tf32,
            cudnn.deterministic,
            cudnn.benchmark,
            torch.get_rng_state().tolist(),
            torch.is_grad_enabled(),
        )

    before = state()
    run(tmp_path, suite(CHAINS[1]), microbatch=None)
    with bench.exact_arithmetic(2):
        assert torch.get_num_threads() == 2
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic
    with pytest.raises(KeyError), bench.exact_arithmetic(2):
        raise KeyError
    assert state() == before


def test_devices():
    assert bench.choose_device("cpu") == CPU
    assert bench.choose_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:99", ""):
        with pytest.raises(UserError, match="--device"):
            bench.choose_device(name)


def test_the_smaller_of_two_shapes_with_nearly_the_same_throughput_is_taken(monkeypatch):
    clock = {8: 0.012, 16: 0.016, 32: 0.021, 64: 0.0405, 128: 0.1, 256: 0.3}
    monkeypatch.setattr(bench, "_times", lambda _, shape, __: [clock[shape[0]]])
    assert bench.probe(MODEL, COLOUR, CPU).rows == 32


def test_a_seed_changes_the_numbers_and_the_keys(tmp_path):
    about = suite(CHAINS[1], slice_size=40)
    found = {}
    for seed in (0, 1):
        plan = plan_of(about, seed=seed)
        (found[seed],) = local(Ledger(tmp_path)).run(plan.tasks)
    assert found[0].cell.key != found[1].cell.key
    assert found[0].cell == replace(found[1].cell, seed=0)


@pytest.mark.parametrize("found", [5, "8", {"rows": 0, "threads": 1}, {"rows": 8}, {"rows": "8", "threads": 1}])
def test_a_record_that_is_no_shape_is_probed_again(tmp_path, found):
    about = suite(CHAINS[0])
    ledger, _ = run(tmp_path / "first", about)
    (name,) = ledger.settings()["shapes"]
    other = Ledger(tmp_path / "second")
    other.set("shapes", {name: found})
    outcomes = list(local(other).run(plan_of(about).tasks))
    assert all(isinstance(outcome, CellResult) for outcome in outcomes)
    assert shapes(other) == [Shape(8, 1)]
