"""Suite, models and data become cells; whatever is wrong is said before anything runs, all at once."""

from dataclasses import replace

import pytest
import torch
from doubles import GREY, Linear, classes, images, loaded, samples
from torch import nn

from robeval.attacks import registry
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.run.drive import execute
from robeval.run.local import Local
from robeval.run.plan import make_plan, pending, resolved
from robeval.values.attack import AttackSpec
from robeval.values.cell import CellFailure
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel

LINF = ThreatModel("linf", 0.05)
CLEAN = AttackSpec("clean", "clean", LINF)
FGSM = AttackSpec("fast", "fgsm", LINF)
PGD = AttackSpec("slow", "pgd", LINF, {"steps": 3, "step_size": 0.02})
MODEL = Linear()
X = images(10)
DATA = samples(X, classes(MODEL, X), 2)


def suite(*chains, slice_size=4, **more):
    chains = chains or (Chain("clean", (CLEAN,)), Chain("both", (FGSM, PGD)))
    return Suite(
        **({"id": "suite", "title": "A suite", "dataset": "made", "split": "test", "threat": LINF} | more),
        chains=chains,
        slice_size=slice_size,
    )


def one(spec, **more):
    return suite(Chain(spec.id, (spec,)), **more)


def plan_of(about=None, models=None, data=DATA, limit=None, seed=0):
    return make_plan(resolved(about or suite()), models or [loaded(MODEL, 2)], data, limit=limit, seed=seed)


def refused(**given):
    with pytest.raises(UserError) as caught:
        plan_of(**given)
    return str(caught.value)


# ── cells ──


def test_models_chains_and_slices_are_crossed():
    plan = plan_of(models=[loaded(MODEL, 2, "a"), loaded(MODEL, 2, "b")])
    found = [(cell.model, cell.attack.id, cell.slice.start, cell.slice.stop) for cell in plan.cells]
    assert found == [
        (model, attack, start, stop)
        for model in "ab"
        for attacks in (("clean",), ("fast", "slow"))
        for start, stop in ((0, 4), (4, 8), (8, 10))
        for attack in attacks
    ]
    assert len({cell.key for cell in plan.cells}) == len(plan.cells)


def test_cells_carry_what_they_are_about():
    for cell in plan_of(seed=5).cells:
        assert cell.weights == "fingerprint of model"
        assert cell.seed == 5
        assert (cell.slice.dataset, cell.slice.split, cell.slice.content) == ("made", "test", DATA.content)


def test_a_chain_names_the_cell_before():
    for task in plan_of().tasks:
        assert task.cells[0].after == ""
        for before, cell in zip(task.cells, task.cells[1:]):
            assert cell.after == before.key
            assert cell.slice == before.slice


def test_rows_of_the_table_know_their_cells():
    plan = plan_of()
    (model,) = plan.models
    assert (model.suite, model.model, model.n, model.seed, model.title) == ("suite", "model", 10, 0, "A suite")
    assert [row.id for row in model.rows] == ["clean", "both"]
    assert [len(keys) for row in model.rows for keys in row.keys] == [1, 1, 1, 2, 2, 2]
    assert [key for row in model.rows for keys in row.keys for key in keys] == [cell.key for cell in plan.cells]


@pytest.mark.parametrize(("limit", "stops"), [(1, [1]), (4, [4]), (5, [4, 5]), (10, [4, 8, 10]), (99, [4, 8, 10])])
def test_a_limit_takes_the_first_samples(limit, stops):
    plan = plan_of(one(CLEAN), limit=limit)
    assert [cell.slice.stop for cell in plan.cells] == stops
    assert plan.models[0].n == min(limit, 10)


def test_whole_slices_keep_their_keys_whatever_the_limit():
    assert plan_of(one(CLEAN), limit=9).cells[0].key == plan_of(one(CLEAN)).cells[0].key


def test_keywords_and_version_are_filled_in_before_the_key_is_made(monkeypatch):
    short = plan_of(one(PGD)).cells[0]
    assert short.attack.params == {
        "steps": 3,
        "step_size": 0.02,
        "loss": "ce",
        "kappa": None,
        "target": "none",
        "random_start": True,
        "start": "ball",
        "clip_start": False,
    }
    written_out = replace(short.attack, version=99)
    assert plan_of(one(written_out)).cells[0].key == short.key
    entry = registry.catalog()["pgd"]
    monkeypatch.setitem(registry._CATALOG, "pgd", replace(entry, version=entry.version + 1))
    assert plan_of(one(PGD)).cells[0].key != short.key


@pytest.mark.parametrize("value", ["5/255", 5 / 255])
def test_a_fraction_is_the_number_it_stands_for(value):
    spec = replace(PGD, params={"steps": 3, "step_size": value})
    (cell, *_) = plan_of(one(spec)).cells
    assert cell.attack.params["step_size"] == 5 / 255
    assert cell.key == plan_of(one(replace(spec, params={"steps": 3, "step_size": 5 / 255}))).cells[0].key


def test_titles_and_names_of_the_suite_do_not_change_keys():
    other = replace(suite(), id="other", title="Another")
    assert [cell.key for cell in plan_of(other).cells] == [cell.key for cell in plan_of().cells]
    renamed = one(replace(CLEAN, id="natural"))
    assert plan_of(renamed).cells[0].key == plan_of(one(CLEAN)).cells[0].key


# ── what can be wrong ──


class Talkative(nn.Module):
    """Answers with a pair."""

    def forward(self, x):
        return x, x


class Nan(nn.Module):
    def forward(self, x):
        return torch.full((len(x), 2), torch.nan)


def test_everything_wrong_with_the_suite_is_named_at_once():
    about = suite(
        Chain("a", (replace(PGD, id="a", use="pdg"),)),
        Chain("b", (replace(PGD, id="b", params={"steps": 0, "step_sise": 1}),)),
        Chain("c", (FGSM, replace(PGD, id="c", threat=ThreatModel("l1", 0.1)))),
        where="suites/suite.toml",
    )
    text = refused(about=about)
    for part in (
        "suites/suite.toml: attack 'a': unknown attack 'pdg'",
        "Did you mean 'pgd'?",
        "attack 'b': 'pgd': takes no 'step_sise'",
        "Did you mean 'step_size'?",
        "attack 'b': 'pgd': 'step_size' is missing",
        "'steps' is 0, expected a whole number at least 1",
        "attack 'c': 'pgd' is not defined for norm 'l1'",
    ):
        assert part in text
    assert text.startswith("5 things stand in the way:")


def test_every_model_that_does_not_fit_is_named_at_once():
    models = [
        loaded(Linear(GREY, 3), 2, "three"),
        loaded(Linear((3, 4, 4)), 2, "colour"),
        loaded(Nan(), 2, "nan"),
        loaded(Talkative(), 2, "talkative"),
        loaded(MODEL, 2, "twice"),
        loaded(MODEL, 2, "twice"),
    ]
    text = refused(models=models)
    for part in (
        "model 'three': its output for 2 images is (2, 3), expected logits of shape (2, 2)",
        "model 'colour': it cannot take images of shape (2, 1, 6, 6)",
        "model 'nan': its logits for the first images are NaN or infinite",
        "model 'talkative': its output for 2 images is tuple",
        "'twice' is named twice",
    ):
        assert part in text
    assert text.startswith("5 things stand in the way:")


def test_one_thing_wrong_is_said_plainly():
    assert refused(about=one(replace(CLEAN, use="cleen"))).startswith("suite: attack 'clean': unknown attack 'cleen'")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"restarts": 0}, "restarts"),
        ({"select": "worst"}, "select"),
        ({"threat": ThreatModel("linf", -0.1)}, "eps"),
        ({"threat": ThreatModel("linf", float("nan"))}, "eps"),
        ({"threat": ThreatModel("l2", float("inf"))}, "eps"),
        ({"threat": ThreatModel("linf", 8.0)}, "8/255"),
    ],
)
def test_a_suite_made_in_python_is_checked_like_a_file(change, named):
    """No restart at all would report an untouched model as robust, and an unknown choice another than was meant."""
    assert named in refused(about=one(replace(FGSM, **change)))


def test_one_image_of_data_is_enough_to_plan():
    assert len(plan_of(one(CLEAN), data=samples(X[:1], torch.zeros(1, dtype=torch.int64), 2)).cells) == 1


# ── what is due ──


def local(ledger, model=MODEL, data=DATA):
    return Local({"model": loaded(model, 2)}, data, ledger, torch.device("cpu"), microbatch=4)


def test_what_is_in_the_ledger_is_not_due(tmp_path):
    plan, ledger = plan_of(), Ledger(tmp_path)
    assert list(pending(plan, ledger)) == list(plan.tasks)
    first, both = plan.tasks[0], plan.tasks[3]
    for outcome in local(ledger).run([first, both]):
        ledger.put(outcome)
    assert list(pending(plan, ledger)) == [*plan.tasks[1:3], *plan.tasks[4:]]


def test_a_chain_goes_on_after_its_last_finished_cell(tmp_path):
    plan, ledger = plan_of(suite(Chain("three", (FGSM, PGD, replace(PGD, id="x", restarts=3))))), Ledger(tmp_path)
    outcomes = list(local(ledger).run(plan.tasks[:1]))
    for done in range(3):
        due = next(iter(pending(plan, ledger)))
        assert due.cells == plan.tasks[0].cells[done:]
        if done:
            for name, column in outcomes[done - 1].verdicts.columns().items():
                assert column.tobytes() == due.before.columns()[name].tobytes()
        resumed = list(local(ledger).run([due]))
        for mine, whole in zip(resumed, outcomes[done:], strict=True):
            assert mine.cell == whole.cell
            for name, column in whole.verdicts.columns().items():
                assert column.tobytes() == mine.verdicts.columns()[name].tobytes()
        ledger.put(outcomes[done])
    assert list(pending(plan, ledger)) == list(plan.tasks[1:])


def test_a_cell_whose_predecessor_is_missing_is_done_again_with_it(tmp_path):
    plan, ledger = plan_of(suite(Chain("two", (FGSM, PGD)), slice_size=10)), Ledger(tmp_path)
    _, second = local(ledger).run(plan.tasks)
    ledger.put(second)
    assert list(pending(plan, ledger)) == list(plan.tasks)


def test_a_failed_cell_stays_due(tmp_path):
    plan, ledger = plan_of(one(CLEAN)), Ledger(tmp_path)
    ledger.fail(CellFailure(plan.cells[0], "no", ""))
    assert list(pending(plan, ledger)) == list(plan.tasks)


# ── the loop ──


class Scripted:
    """An executor that fails the second chain."""

    def __init__(self, ledger):
        self.inner = local(ledger)

    def run(self, tasks):
        for number, task in enumerate(tasks):
            if number == 1:
                yield CellFailure(task.cells[0], "gave up", "line 1")
            else:
                yield from self.inner.run([task])


def test_the_loop_records_results_and_failures_and_goes_on(tmp_path):
    plan, ledger, heard = plan_of(), Ledger(tmp_path), []
    assert execute(plan, ledger, Scripted(ledger), heard.append) == 1
    assert len(heard) == len(plan.cells)
    failed = plan.tasks[1].cells[0].key
    assert ledger.failure(failed) == "gave up"
    assert failed not in ledger
    assert [model.name for model in ledger.plans()] == ["suite--model"]
    assert [task.cells[0].key for task in pending(plan, ledger)] == [failed]
    heard.clear()
    assert execute(plan, ledger, local(ledger), heard.append) == 0
    assert [outcome.cell.key for outcome in heard] == [failed]
    assert ledger.failure(failed) is None
    assert execute(plan, ledger, local(ledger), heard.append) == 0
    assert len(heard) == 1, "nothing is computed twice"


def test_a_loss_that_needs_more_classes_is_refused():
    said = refused(about=one(replace(PGD, params={"steps": 1, "step_size": 0.1, "loss": "dlr"})))
    assert "attack 'slow' on made: loss 'dlr' needs 3 classes, but there are 2" in said


def test_a_model_that_raises_anything_is_named():
    class Strange(nn.Module):
        def forward(self, x):
            raise KeyError("no such layer")

    assert "model 'model'" in refused(models=[loaded(Strange(), 2)])


def test_a_cell_that_two_chains_share_is_computed_once(tmp_path):
    about = suite(Chain("alone", (FGSM,)), Chain("first of two", (replace(FGSM, id="again"), PGD)))
    plan, ledger, outcomes = plan_of(about, limit=4), Ledger(tmp_path), []
    executor = Local({"model": loaded(MODEL, 2)}, DATA, ledger, torch.device("cpu"), 4)
    execute(plan, ledger, executor, outcomes.append)
    assert len(plan.cells) == 3
    assert [outcome.cell.attack.id for outcome in outcomes] == ["fast", "slow"]


# ── classes, gradients, probabilities ──


def test_a_suite_may_say_what_an_attack_minimises_only_where_that_means_something():
    said = refused(about=one(replace(PGD, minimises="l2")))
    assert "attack 'slow': 'pgd' takes no 'minimises'" in said
    assert "'pgd' takes no 'score'" in refused(about=one(replace(PGD, score="project")))
    assert "'eot' is 0" in refused(about=one(replace(PGD, eot=0)))


class Steps(nn.Module):
    """A model whose answers are whole numbers, and so have no gradient."""

    def forward(self, x):
        return (MODEL(x) * 4).detach().round()


def test_gradient_attacks_on_a_model_without_gradients_are_named_with_the_way_out():
    said = refused(models=[loaded(Steps(), 2, "steps")])
    assert "model 'steps': its logits have no gradient to the image, which these attacks need: fast, slow" in said
    assert "Use attacks without gradients (" in said
    assert "pgd" not in said.split("without gradients (")[1].split(")")[0]
    plan_of(one(CLEAN), models=[loaded(Steps(), 2, "steps")])


def test_only_the_source_of_a_transfer_needs_gradients():
    steps, own = loaded(Steps(), 2, "steps"), loaded(MODEL, 2, "own")
    plan = make_plan(resolved(suite()), [steps], DATA, limit=None, seed=0, source=own)
    assert {cell.source for cell in plan.cells} == {"fingerprint of own"}
    assert plan.models[0].group == "suite from own"
    with pytest.raises(UserError, match="model 'steps': its logits have no gradient"):
        make_plan(resolved(suite()), [own], DATA, limit=None, seed=0, source=steps)


def test_a_source_that_does_not_fit_is_named():
    with pytest.raises(UserError, match="model 'three': its output for 2 images"):
        make_plan(
            resolved(suite()), [loaded(MODEL, 2)], DATA, limit=None, seed=0, source=loaded(Linear(k=3), 3, "three")
        )


def test_probabilities_are_warned_of_and_recorded():
    soft = nn.Sequential(MODEL, nn.Softmax(dim=1))
    (recorded,) = plan_of(models=[loaded(soft, 2, "soft")]).models
    assert "look like probabilities, not logits" in recorded.warnings[0]
    assert plan_of().models[0].warnings == ()


@pytest.mark.parametrize(("norm", "eps", "furthest"), [("l2", 6.1, "6"), ("l1", 37, "36")])
def test_a_ball_that_holds_every_image_is_refused(norm, eps, furthest):
    said = refused(about=one(AttackSpec("a", "apgd", ThreatModel(norm, eps))))
    assert f"attack 'a' on made: eps is {eps:g}, but no two images are further than {furthest} apart" in said


def test_a_step_longer_than_any_way_is_refused():
    threat = ThreatModel("linf", 0.1)
    said = refused(about=one(AttackSpec("a", "pgd", threat, {"steps": 3, "step_size": 8})))
    assert "attack 'a' on made: step_size is 8, but no two images are further than 1 apart" in said
    plan_of(one(AttackSpec("a", "pgd", threat, {"steps": 3, "step_size": 1})))
    # The steps of Carlini & Wagner are in the space of arctanh.
    plan_of(one(AttackSpec("a", "carlini_wagner", threat, {"step_size": 8}, minimises="linf")))


@pytest.mark.parametrize(
    ("use", "name", "value", "expected"),
    [
        *((use, "eta", 0.5, "a number at least 1") for use in ("fab", "fab_targeted", "autoattack.fab")),
        *((use, "eta", 0.5, "a number at least 1") for use in ("autoattack.fab_targeted", "torchattacks.fab")),
        *((use, "delta", 50, "a number at least 2^-24 and at most 1") for use in ("spsa", "torchattacks.spsa")),
        ("spsa", "delta", 1e-30, "a number at least 2^-24 and at most 1"),
        ("spsa", "step_size", 8, "a number at least 2^-24 and at most 1"),
        ("mifgsm_search", "initial_eps", 1e-30, "a number at least 2^-24"),
        *(
            (use, "step_size", 1e-30, "a number at least 2^-24")
            for use in ("mifgsm_search", "mifgsm", "multi_targeted")
        ),
        *((use, "step_size", 1e-30, "a number at least 2^-24") for use in ("torchattacks.mifgsm", "foolbox.mifgsm")),
        *(
            (use, "step_size", 1e-30, "a number at least 2^-24")
            for use in ("carlini_wagner", "torchattacks.carlini_wagner", "foolbox.carlini_wagner")
        ),
        *(
            (use, "initial_c", 1e-30, "a number at least 2^-24")
            for use in ("carlini_wagner", "foolbox.carlini_wagner", "lbfgs")
        ),
        ("lbfgs", "precision", 1e-30, "a number at least 2^-24"),
        ("deepfool", "overshoot", 50, "a number at least 0 and at most 1"),
        ("foolbox.deepfool", "overshoot", 50, "a number at least 0 and at most 1"),
        ("foolbox.deepfool", "candidates", 1, "a whole number at least 2"),
        *((use, "p_init", 0, "a number above 0 and at most 1") for use in ("square", "autoattack.square")),
        ("torchattacks.square", "p_init", 0, "a number above 0 and at most 1"),
    ],
)
def test_parameters_with_which_nothing_is_broken_are_refused(use, name, value, expected):
    spec = AttackSpec("a", use, ThreatModel("linf", 0.1), {name: value})
    assert f"'{name}' is {value}, expected {expected}" in refused(about=one(spec))


def test_a_place_of_the_random_start_without_one_is_refused():
    spec = replace(PGD, params={**PGD.params, "start": "sphere"})
    plan_of(one(spec))
    without = replace(spec, params={**spec.params, "random_start": False})
    assert "'start' is \"sphere\", but 'random_start' is false" in refused(about=one(without))


def test_more_first_samples_than_there_may_be_are_refused():
    spec = AttackSpec("a", "hop_skip_jump", LINF, {"initial_samples": 99, "max_samples": 3})
    assert "'initial_samples' is 99, more than 'max_samples', 3" in refused(about=one(spec))
    plan_of(one(replace(spec, params={"initial_samples": 3, "max_samples": 3})))


def test_a_search_that_begins_beyond_all_images_is_refused():
    spec = AttackSpec(
        "a", "mifgsm_search", ThreatModel("linf", 0.1), {"initial_eps": 30, "step_size": 7}, minimises="l2"
    )
    said = refused(about=one(spec))
    for name, value in (("initial_eps", 30), ("step_size", 7)):
        assert f"{name} is {value}, but no two images are further than 6 apart" in said
    plan_of(one(replace(spec, params={"initial_eps": 6, "step_size": 2})))


@pytest.mark.parametrize(
    ("use", "params", "idle"),
    [
        ("pgd", {"random_start": False}, True),
        ("pgd", {"random_start": False, "target": "random"}, False),
        ("pgd", {}, False),
        ("foolbox.pgd", {"random_start": False}, True),
        ("mifgsm", {}, True),
        ("fab", {}, False),
    ],
)
def test_restarts_that_go_the_same_way_are_warned_of(use, params, idle):
    needed = {"steps": 3, "step_size": 0.02} if use.endswith("pgd") else {}
    spec = AttackSpec("a", use, LINF, {**needed, **params}, restarts=5)
    (recorded,) = plan_of(one(spec)).models
    assert ["attack 'a' draws no random numbers" in each for each in recorded.warnings] == ([True] if idle else [])
    assert plan_of(one(replace(spec, restarts=1))).models[0].warnings == ()


def test_a_source_that_gives_probabilities_is_warned_of_too():
    soft = loaded(nn.Sequential(MODEL, nn.Softmax(dim=1)), 2, "soft")
    plan = make_plan(resolved(suite()), [loaded(MODEL, 2)], DATA, limit=None, seed=0, source=soft)
    assert plan.models[0].warnings[0].startswith("source soft: its outputs look like probabilities")


class Numpy(nn.Module):
    """As somebody has it whose network is elsewhere."""

    def forward(self, x):
        return MODEL(torch.from_numpy(x.numpy().copy()))


def test_a_model_that_is_outside_of_torch_has_no_gradient():
    outside = loaded(Numpy(), 2, "outside")
    said = refused(models=[outside])
    assert "model 'outside': its logits have no gradient to the image, which these attacks need" in said
    plan_of(one(CLEAN), models=[outside])


def test_a_gradient_of_zero_is_warned_of():
    class Rounded(nn.Module):
        def forward(self, x):
            return MODEL((x * 16).round() / 16)

    (recorded,) = plan_of(models=[loaded(Rounded(), 2, "flat")]).models
    assert "its gradient is exactly 0 for" in recorded.warnings[0]
    assert "square" in recorded.warnings[0]


def test_too_little_memory_is_no_lack_of_gradients():
    class Large(nn.Module):
        def forward(self, x):
            if x.requires_grad:
                raise torch.OutOfMemoryError("tried to allocate 6 GiB")
            return MODEL(x)

    assert "model 'large': memory is not enough for the gradient of" in refused(models=[loaded(Large(), 2, "large")])


def test_answers_that_are_not_numbers_are_no_random_answers():
    class Patchy(nn.Module):
        def forward(self, x):
            return torch.where(torch.arange(len(x))[:, None] == 5, torch.nan, MODEL(x))

    (recorded,) = plan_of(models=[loaded(Patchy(), 2, "patchy")]).models
    assert not any("differ from pass to pass" in warning for warning in recorded.warnings)


def test_a_random_model_is_warned_of():
    class Noisy(nn.Module):
        def forward(self, x):
            return MODEL(x + 0.1 * torch.randn_like(x))

    (recorded,) = plan_of(models=[loaded(Noisy(), 2, "noisy")]).models
    assert "differ from pass to pass" in recorded.warnings[0]


def test_keywords_that_would_do_nothing_are_refused():
    kappa = replace(PGD, params={"steps": 1, "step_size": 0.1, "kappa": 50.0})
    assert "'kappa' is given, but loss 'ce' has none" in refused(about=one(kappa))
    assert "no one loss whose best iterate" in refused(about=one(AttackSpec("a", "square", LINF, select="best")))


def test_an_l2_attack_in_an_linf_suite_is_told_how_to_be_scored():
    assert 'Write minimises = "l2" to score it in this ball.' in refused(about=one(AttackSpec("a", "lbfgs", LINF)))


@pytest.mark.parametrize(("use", "params"), [("square", {"p_init": 7}), ("fab", {"beta": 3}), ("apgd", {"rho": 9})])
def test_shares_above_1_are_refused(use, params):
    assert "0 and at most 1" in refused(about=one(AttackSpec("a", use, LINF, params)))
