"""What every attack of another library promises here. There is no list to maintain: a new one is tested as it is found.

They draw the random numbers of a whole microbatch and round as they like, so they promise less than ours do.
"""

import importlib.util
import inspect
import logging
import sys
import warnings

import numpy as np
import pytest
import torch
from doubles import COLOUR, ConvNet, NotANumber, cell, classes, images, marked, problem

from robeval.attacks import registry
from robeval.attacks.reference.adapter import in_ball, minimised
from robeval.ops import geometry
from robeval.ops.microbatch import Microbatches
from robeval.run.engine import run_cell
from robeval.values.attack import AttackSpec
from robeval.values.threat import ThreatModel

CATALOG = {name: entry for name, entry in registry.catalog().items() if entry.library}
# AutoAttack takes a minute whatever it is given, so it has a test of its own.
PAIRS = [(name, norm) for name, entry in CATALOG.items() for norm in entry.norms if name != "autoattack.standard"]
EPS = {"linf": 0.03, "l2": 0.3, "l1": 2.0}
FEW = {"steps": 3, "step_size": 0.01, "queries": 20, "targets": 2, "samples": 4, "initial_samples": 5, "searches": 2}
DRAWS_NOTHING = ("fgsm", "mifgsm", "deepfool", "carlini_wagner", "fab", "fab_targeted")

every_attack = pytest.mark.parametrize(("name", "norm"), PAIRS, ids=map("-".join, PAIRS))
ONCE = [(name, norm) for name, norm in PAIRS if norm == CATALOG[name].norms[0]]
every_attack_once = pytest.mark.parametrize(("name", "norm"), ONCE, ids=map("-".join, ONCE))


@pytest.fixture(autouse=True)
def installed(request):
    """Skips the attacks of libraries that are not here."""
    if "name" in request.fixturenames and (name := request.getfixturevalue("name")) in CATALOG:
        pytest.importorskip({"autoattack": "pyautoattack"}.get(CATALOG[name].library, CATALOG[name].library))


def params(name):
    keywords = inspect.signature(CATALOG[name].function).parameters
    few = FEW | ({"steps": 1} if name.endswith("hop_skip_jump") else {})
    return {key: value for key, value in few.items() if key in keywords}


def the_cell(name, norm, stop, **spec):
    minimises = norm if CATALOG[name].minimal else ""
    return cell(name, ThreatModel(norm, EPS[norm]), stop, params=params(name), minimises=minimises, **spec)


def some(n=10):
    """A network and images it knows, a little away from the border of the pixel box."""
    model, x = ConvNet(COLOUR), images(n, COLOUR, 0.05, 0.95)
    return model, x, classes(model, x)


def everything_global():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        (cudnn.allow_tf32, matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark),
        torch.are_deterministic_algorithms_enabled(),
        (logging.getLogger().handlers[:], logging.getLogger().level),
        warnings.filters[:],
        sys.gettrace(),
    )


# ── what all of them promise ──


@every_attack
def test_it_proposes_and_the_judge_decides(name, norm):
    model, x, y = some()
    y[3] = (y[3] + 1) % 10
    found = run_cell(the_cell(name, norm, 10), Microbatches(model, 4), x, y)
    assert found.attacked.tolist() == [place != 3 for place in range(10)]
    assert not (found.escaped | found.nonfinite).any()
    broken = found.broken & found.attacked
    assert (found.predicted[broken] != found.label[broken]).all()
    assert (found.distance[broken] <= np.float32(EPS[norm])).all()
    assert CATALOG[name].minimal or np.isnan(found.distance[~found.broken]).all()
    assert np.array_equal(found.queries > 0, found.attacked)
    assert np.array_equal(found.backwards > 0, found.attacked & CATALOG[name].gradients)


@every_attack
def test_it_leaves_everything_as_it_was(name, norm, capfd):
    model, x, y = some(5)
    model.requires_grad_(True)
    images_, labels, weights = x.clone(), y.clone(), {key: value.clone() for key, value in model.state_dict().items()}
    before = everything_global()
    adv = CATALOG[name].function(problem(model, x, y, ThreatModel(norm, EPS[norm]), 4), **params(name))
    assert everything_global() == before
    assert (adv.shape, adv.dtype, adv.requires_grad) == (x.shape, x.dtype, False)
    assert torch.equal(x, images_)
    assert torch.equal(y, labels)
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert not any(part.training for part in model.modules())
    assert capfd.readouterr() == ("", "")


@every_attack_once
def test_the_same_problem_has_the_same_candidates(name, norm):
    model, x, y = some(6)

    def once(seed):
        return CATALOG[name].function(problem(model, x, y, ThreatModel(norm, EPS[norm]), 4, seed), **params(name))

    assert torch.equal(once(1), once(1))
    if (
        name.partition(".")[2] not in DRAWS_NOTHING
        and "random_start" not in inspect.signature(CATALOG[name].function).parameters
    ):
        assert not torch.equal(once(1), once(2))


@every_attack_once
def test_nobody_left_to_attack(name, norm):
    model, x, y = some()
    nothing = problem(model, x[:0], y[:0], ThreatModel(norm, EPS[norm]), 4)
    assert CATALOG[name].function(nothing, **params(name)).shape == (0, *COLOUR)


@every_attack_once
def test_nan_is_noted_and_is_no_success(name, norm):
    x, light = marked(8, COLOUR)
    model = ConvNet(COLOUR)
    y = classes(model, x)
    found = run_cell(the_cell(name, norm, 8), Microbatches(NotANumber(model), 8), x, y)
    assert not found.broken[light].any()
    assert found.nonfinite[light].any()


@every_attack_once
def test_any_iterate_that_the_library_asks_about_counts(name, norm):
    model, x, y = some()
    final, any_ = (
        run_cell(the_cell(name, norm, 10, select=select), Microbatches(model, 16), x, y) for select in ("final", "any")
    )
    assert (any_.broken >= final.broken).all()


# ── counting ──


@pytest.mark.parametrize("size", [1, 4, 7, 32])
@pytest.mark.parametrize("name", ["torchattacks.pgd", "foolbox.pgd"])
def test_passes_are_counted_for_each_row(name, size):
    model, x, y = some(9)
    asked = problem(model, x, y, ThreatModel("linf", 0.03), size)
    CATALOG[name].function(asked, steps=5, step_size=0.01)
    assert asked.forwards.tolist() == asked.backwards.tolist() == [5] * 9


def test_a_library_that_asks_about_one_image_at_a_time_is_counted_right():
    pytest.importorskip("torchattacks")
    model, x, y = some(9)
    y[4] = (y[4] + 1) % 10  # broken already: one look at it is enough
    asked = problem(model, x, y, ThreatModel("l2", 0.3), 6)
    CATALOG["torchattacks.deepfool"].function(asked, steps=4)
    assert asked.forwards[4] == 1
    assert asked.backwards[4] == 0
    assert (asked.forwards[y == classes(model, x)] >= 2).all()
    assert (asked.backwards % 10 == 0).all()


# ── candidates outside ──


def test_rounding_is_mended_and_an_escape_is_seen():
    model, x, y = some(4)
    x = x.clamp(0.2, 0.8)
    threat = ThreatModel("linf", 0.1)
    moves = torch.tensor([0.05, 0.1 + 5e-7, 0.1 + 5e-6, torch.nan])

    def work(network, clean, labels):
        return clean + moves[:, None, None, None]

    adv = in_ball(problem(model, x, y, threat), work)
    assert geometry.inside(adv, x, threat).tolist() == [True, True, False, False]
    assert torch.equal(adv[0], x[0] + 0.05)
    assert torch.equal(adv[2], x[2] + moves[2])
    assert torch.equal(minimised(problem(model, x, y, threat), work)[:3], (x + moves[:, None, None, None])[:3])


def test_what_leaves_the_pixel_box_is_seen_too():
    model, x, y = some(2)
    x, threat = torch.zeros_like(x), ThreatModel("l2", 5.0)
    moves = torch.tensor([-1e-7, -1e-3])
    adv = in_ball(problem(model, x, y, threat), lambda network, clean, labels: clean + moves[:, None, None, None])
    assert geometry.inside(adv, x, threat).tolist() == [True, False]


def test_torchattacks_candidates_that_leave_by_rounding_count():
    """Without the rounding nothing it finds would: see test_pgd.py."""
    pytest.importorskip("torchattacks")
    model, x, threat = ConvNet(), (images(64) * 255).round() / 255, ThreatModel("linf", 0.031)
    y = classes(model, x)
    adv = CATALOG["torchattacks.pgd"].function(
        problem(model, x, y, threat), steps=20, step_size=0.003, random_start=False
    )
    assert geometry.inside(adv, x, threat).all()
    assert (classes(model, adv) != y).any()


# ── at the time of planning ──


@pytest.mark.parametrize(
    ("name", "module", "wanted"),
    [
        ("torchattacks.pgd", "torchattacks", "pip install 'robeval[torchattacks]'"),
        ("foolbox.pgd", "foolbox", "pip install 'robeval[foolbox]'"),
        ("autoattack.apgd", "pyautoattack", "pip install 'pyautoattack'"),
    ],
)
def test_a_missing_library_is_found_before_anything_runs(name, module, wanted, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *_: None if asked == module else find(asked))
    given = {key: value for key, value in params(name).items() if key in ("steps", "step_size")}
    _, (wrong,) = registry.check(AttackSpec("a", name, ThreatModel("linf", 0.1), given), "suite.toml: attack 'a'")
    assert f"'{name}' needs {CATALOG[name].library}, which is not installed" in str(wrong)
    assert wanted in str(wrong)
    assert "suite.toml" in str(wrong)


@pytest.mark.parametrize("spec", [{"select": "best"}, {"eot": 5}])
def test_what_a_library_cannot_do_is_refused(spec):
    pytest.importorskip("foolbox")
    _, (wrong,) = registry.check(AttackSpec("a", "foolbox.fgsm", ThreatModel("linf", 0.1), **spec), "suite")
    assert "'foolbox.fgsm'" in str(wrong)


def test_keywords_are_some_of_ours_with_the_same_defaults():
    ours = {name: entry for name, entry in registry.catalog().items() if not entry.library}
    for name, entry in CATALOG.items():
        assert entry.summary
        assert name.startswith(f"{entry.library}.")
        if not (own := ours.get(name.partition(".")[2])):
            continue
        known = inspect.signature(own.function).parameters
        assert set(inspect.signature(entry.function).parameters) <= set(known), name
        assert {key for setting in entry.settings for key in setting} <= {*known, "norm"}, name
        assert set(entry.norms) <= set(own.norms), name
        assert entry.minimal == own.minimal


# ── AutoAttack as a whole ──


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_standard_autoattack_breaks_at_least_what_its_parts_do(norm, monkeypatch):
    """Its search for near images and its squares are cut short, which would take most of the time."""
    released = pytest.importorskip("pyautoattack.autoattack")
    for kind, key, few in ((released.FABAttack_PT, "n_iter", 10), (released.SquareAttack, "n_queries", 100)):
        always = property(lambda self, few=few: few, lambda self, given: None)
        monkeypatch.setattr(kind, key, always, raising=False)
    model, x, y = some(2)
    whole, part = (
        run_cell(cell(name, ThreatModel(norm, EPS[norm]), 2), Microbatches(model, 8), x, y)
        for name in ("autoattack.standard", "autoattack.apgd")
    )
    assert not whole.escaped.any()
    assert (whole.broken >= part.broken).all()
    assert (whole.queries > 100).all()


def test_the_standard_autoattack_leaves_everything_as_it_was(capfd):
    pytest.importorskip("pyautoattack")
    model, x, y = some(3)
    before = everything_global()
    asked = problem(model, x, y, ThreatModel("linf", 0.5), 4)  # a radius that the first of its attacks makes use of
    adv = CATALOG["autoattack.standard"].function(asked)
    assert everything_global() == before
    assert (classes(model, adv) != y).all()
    assert capfd.readouterr() == ("", "")
