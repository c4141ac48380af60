"""Who is attacked, how often, and what it costs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles import COLOUR, GREY, ConvNet, Linear, Watched, cell, classes, images

from robeval.attacks import registry
from robeval.errors import UserError
from robeval.ops.losses import cross_entropy
from robeval.ops.microbatch import Microbatches
from robeval.run.engine import run_cell
from robeval.values.cell import NO_CLASS
from robeval.values.threat import ThreatModel

LINF = ThreatModel("linf", 0.03)
PGD = {"steps": 10, "step_size": 0.01}


@pytest.fixture
def asked():
    """A network of which PGD breaks some images and leaves others, and 24 images, some wrong already."""
    model, x = ConvNet(COLOUR, kind=torch.nn.Tanh), images(24, COLOUR)
    y = classes(model, x)
    y[:4] = (y[:4] + 1) % 10
    return model, x, y


def run(model, x, y, use="pgd", threat=LINF, before=None, size=8, on_step=None, **spec):
    spec.setdefault("params", PGD if use == "pgd" else {})
    return run_cell(cell(use, threat, len(x), **spec), Microbatches(model, size), x, y, before, on_step)


# ── restarts ──


def test_a_restart_sees_only_what_is_still_standing(enter):
    seen = []

    def first_of_all(problem):
        """Breaks the first sample it is given."""
        seen.append(problem.x[:, 0, 0, 0].tolist())
        adv = problem.x.clone()
        adv[0] = (adv[0] + 0.01).clamp(0, 1)
        return adv

    x = (torch.arange(5) / 10).view(5, 1, 1, 1).expand(5, *GREY)

    class Changed(torch.nn.Module):
        def forward(self, images_):
            known = ((images_ * 10 - (images_ * 10).round()).abs() < 1e-4).flatten(1).all(dim=1)
            return torch.stack([known.float(), 1 - known.float()], dim=1)

    y = torch.tensor([0, 0, 1, 0, 0])  # the third is wrong already
    found = run(Changed(), x, y, enter(first_of_all), restarts=3)
    assert [len(each) for each in seen] == [4, 3, 2]
    assert seen[1] == pytest.approx([0.1, 0.3, 0.4])
    assert found.broken.tolist() == [True, True, True, True, False]
    assert found.attacked.tolist() == [True, True, False, True, True]


def test_passes_are_counted_over_restarts(asked):
    found = {restarts: run(*asked, restarts=restarts) for restarts in (1, 2, 5)}
    wrong = (classes(asked[0], asked[1]) != asked[2]).numpy()
    for restarts, verdicts in found.items():
        assert (verdicts.queries[wrong] == 0).all()
        assert (verdicts.queries[~verdicts.broken] == 10 * restarts).all()
        assert np.array_equal(verdicts.queries, verdicts.backwards)
        assert set(verdicts.queries) <= {10 * each for each in range(restarts + 1)}
    once = found[1].broken
    assert (found[5].broken >= once).all()
    assert (found[5].queries[once & ~wrong] == 10).all(), "broken by the first start: never attacked again"
    assert 4 < once.sum() < 24


def test_restarts_end_when_nobody_stands(asked):
    model, x, y = asked
    watched = Watched(model)
    run(watched, x, y, threat=ThreatModel("linf", 1.0), params={"steps": 3, "step_size": 0.5}, restarts=100)
    assert len(watched.sizes) < 60, "100 restarts are 900 passes and more"


def test_each_restart_draws_other_numbers(enter):
    starts = []

    def start(problem):
        starts.append(problem.random_point())
        return problem.x

    model, x = ConvNet(), images(6)
    run(model, x, classes(model, x), enter(start), restarts=3)
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])


def test_a_restart_draws_the_same_numbers_whoever_has_left(asked):
    """So the second restart of a sample is the same whether or not its neighbours were broken by the first."""
    model, x, y = asked
    whole = run(model, x, y, restarts=3)
    alone = [
        run_cell(cell("pgd", LINF, i + 1, i, params=PGD, restarts=3), Microbatches(model, 8), x[[i]], y[[i]])
        for i in range(len(x))
    ]
    for name, column in whole.columns().items():
        mine = np.concatenate([each.columns()[name] for each in alone])
        assert np.array_equal(mine, column, equal_nan=column.dtype.kind == "f"), name


def test_flags_of_an_earlier_restart_stay(enter):
    tries = []

    def sometimes(problem):
        tries.append(0)
        return problem.x + 2 if len(tries) == 1 else problem.x

    model, x = ConvNet(), images(3)
    found = run(model, x, classes(model, x), enter(sometimes), restarts=2)
    assert found.escaped.all()
    assert len(tries) == 2


# ── select ──


def test_any_retires_rows_and_so_costs_less(asked):
    model, x, y = asked
    watched = Watched(model)
    found, passes = {}, {}
    for select in ("final", "any"):
        watched.sizes.clear()
        found[select] = run(watched, x, y, select=select, size=1)
        passes[select] = len(watched.sizes)
    assert (found["any"].broken >= found["final"].broken).all()
    assert passes["any"] < passes["final"]
    attacked = found["any"].attacked
    broken = found["any"].broken & attacked
    assert (found["any"].queries[broken] < 10).any()
    assert (found["any"].queries[~found["any"].broken] == 10).all()


def test_any_counts_an_iterate_that_the_last_one_is_not(enter):
    """The attack passes a broken point and comes back to the clean image."""

    def there_and_back(problem):
        problem.logits(problem.project(problem.x + 0.02))
        return problem.x

    class Edge(torch.nn.Module):
        def forward(self, x):
            lead = x.flatten(1).mean(dim=1) - 0.51
            return torch.stack([-lead, lead], dim=1)

    x, y = torch.full((3, *GREY), 0.5), torch.zeros(3, dtype=torch.int64)
    use = enter(there_and_back)
    assert run(Edge(), x, y, use, select="any").broken.all()
    assert run(Edge(), x, y, use, select="any").distance == pytest.approx(0.02, rel=1e-4)
    assert not run(Edge(), x, y, use, select="final").broken.any()
    assert not run(Edge(), x, y, use, select="best").broken.any(), "it asked for no loss"


def test_best_is_the_point_of_highest_loss_inside(enter):
    """Of the points it is asked about, one outside of the ball has a higher loss and does not count."""

    def wander(problem):
        for change in (0.01, 0.02, 0.5, -0.01):
            problem.gradient(problem.x + change, cross_entropy)
        return problem.x

    class Edge(torch.nn.Module):
        def forward(self, x):
            lead = x.flatten(1).mean(dim=1) - 0.515
            return torch.stack([-lead, lead], dim=1)

    x, y = torch.full((3, *GREY), 0.5), torch.zeros(3, dtype=torch.int64)
    use = enter(wander)
    found = run(Edge(), x, y, use, select="best")
    assert found.broken.all()
    assert not found.escaped.any()
    assert found.distance == pytest.approx(0.02, rel=1e-4)
    assert (found.queries == 5).all(), "the last iterate is looked at once more"
    assert not run(Edge(), x, y, use, select="final").broken.any()


def test_best_looks_at_the_last_iterate_too(enter):
    def one_step(problem):
        slope = problem.gradient(problem.x, cross_entropy)
        return problem.project(problem.x + 0.03 * problem.steepest(slope))

    model, x = Linear(), images(20, GREY, 0.3, 0.7)
    y = classes(model, x)
    use = enter(one_step)
    best, final = (run(model, x, y, use, select=select) for select in ("best", "final"))
    assert np.array_equal(best.broken, final.broken)
    assert best.broken.any()


# ── chains ──


def test_a_second_attack_sees_the_survivors_of_the_first_and_carries_its_verdicts(asked):
    model, x, y = asked
    first = run(model, x, y, "fgsm", ThreatModel("linf", 0.01))
    second = run(model, x, y, before=first, restarts=3)
    alone = run(model, x, y, restarts=3)
    assert 0 < (first.broken & first.attacked).sum() < 20
    assert np.array_equal(second.attacked, ~first.broken)
    assert np.array_equal(second.broken, first.broken | (alone.broken & ~first.broken))
    assert second.broken.sum() > first.broken.sum()
    for name in ("predicted", "distance"):
        mine, theirs = second.columns()[name], first.columns()[name]
        assert np.array_equal(mine[first.broken], theirs[first.broken])
    assert (second.queries[first.broken] == 0).all()
    survivors = ~first.broken
    for name, column in alone.columns().items():
        mine = second.columns()[name]
        assert np.array_equal(mine[survivors], column[survivors], equal_nan=column.dtype.kind == "f"), name


def test_a_chain_whose_first_attack_broke_all_asks_for_nothing(asked):
    model, x, y = asked
    watched = Watched(model)
    before = replace(run(model, x, y), broken=np.ones(24, bool))
    found = run(watched, x, y, before=before)
    assert watched.sizes == []
    assert found.broken.all()
    assert np.array_equal(found.predicted, before.predicted)


# ── what comes out ──


def test_columns_have_the_types_that_are_promised(asked):
    found = run(*asked)
    types = {name: str(column.dtype) for name, column in found.columns().items()}
    assert types == {
        "sample": "int64",
        "label": "int16",
        "clean_predicted": "int16",
        "predicted": "int16",
        "broken": "bool",
        "attacked": "bool",
        "distance": "float32",
        "escaped": "bool",
        "nonfinite": "bool",
        "queries": "int32",
        "backwards": "int32",
    }
    assert {len(column) for column in found.columns().values()} == {24}


def test_sample_numbers_are_those_of_the_split(asked):
    model, x, y = asked
    about = cell("fgsm", LINF, stop=124, start=100)
    assert run_cell(about, Microbatches(model, 8), x, y).sample.tolist() == list(range(100, 124))


def test_natural_accuracy_is_a_cell_like_any_other(asked):
    model, x, y = asked
    found = run(model, x, y, "clean")
    assert np.array_equal(found.broken, classes(model, x) != y)
    assert np.array_equal(found.predicted, classes(model, x))
    assert (found.queries == 0).all()


def test_progress_runs_from_0_to_1_over_restarts(asked):
    told = []
    run(*asked, restarts=2, on_step=told.append)
    assert told == pytest.approx([each / 20 for each in range(20)])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_clean_logits_that_are_not_finite_cost_their_image_alone(asked, value):
    model, x, y = asked

    class Broken(torch.nn.Module):
        def forward(self, images_):
            logits = model(images_)
            return torch.where((images_ == x[5]).flatten(1).all(dim=1)[:, None], value, logits)

    about = cell("pgd", LINF, stop=124, start=100, params={"steps": 3, "step_size": 0.05})
    odd, plain = (run_cell(about, Microbatches(net, 8), x, y) for net in (Broken(), model))
    others = np.arange(24) != 5
    for name, column in odd.columns().items():
        assert np.array_equal(column[others], plain.columns()[name][others], equal_nan=column.dtype.kind == "f"), name
    assert (odd.clean_predicted[5], odd.predicted[5], odd.distance[5]) == (NO_CLASS, NO_CLASS, 0)
    assert (odd.broken[5], odd.attacked[5], odd.nonfinite[5]) == (True, False, True)


def test_clean_images_outside_the_box_stop_the_cell(asked):
    model, x, y = asked
    x = x.clone()
    x[3, 0, 0, 0] = 1.5
    with pytest.raises(UserError, match=r"clean sample 3 of made is not in \[0, 1\]"):
        run(model, x, y, "clean")


def test_the_function_of_the_catalog_is_called_with_the_cells_parameters(enter):
    given = []

    def takes(problem, *, one, two="b"):
        given.append((one, two))
        return problem.x

    model, x = ConvNet(), images(2)
    run(model, x, classes(model, x), enter(takes), params={"one": 1})
    run(model, x, classes(model, x), "takes", params={"one": 2, "two": "c"})
    assert given == [(1, "b"), (2, "c")]
    assert "takes" in registry.catalog()


def test_seeds_matter_and_nothing_else_does(asked):
    one, same, other = (run(*asked, seed=seed, params={"steps": 1, "step_size": 0.01}) for seed in (1, 1, 2))
    assert np.array_equal(one.distance, same.distance, equal_nan=True)
    assert not np.array_equal(one.distance, other.distance, equal_nan=True)


# ── minimal distances ──


@pytest.fixture
def further(enter):
    """A minimal-distance attack that always goes 0.04 beyond the boundary of a linear two-class model."""

    def beyond(problem):
        logits, slopes = problem.jacobian(problem.x, torch.tensor([[0, 1]]).expand(len(problem.y), 2))
        way = (slopes[:, 1] - slopes[:, 0]) * (1 - 2 * problem.y).view(-1, 1, 1, 1)
        lead = (logits[:, 1] - logits[:, 0]).abs().view(-1, 1, 1, 1)
        return problem.clip(problem.x + (lead / way.abs().sum(dim=(1, 2, 3), keepdim=True) + 0.04) * way.sign())

    enter(beyond)
    registry._CATALOG["beyond"] = replace(registry._CATALOG["beyond"], minimal=True)
    return "beyond"


@pytest.fixture
def line():
    model, x = Linear(COLOUR, 2, scale=0.5), images(48, COLOUR, 0.35, 0.65)
    return model, x, classes(model, x)


def test_threshold_counts_what_is_within_eps_and_measures_the_rest(further, line):
    model, x, y = line
    margin = model.margin(x, y, "linf").numpy() + 0.04
    eps = float(np.median(margin))
    found = run(model, x, y, further, ThreatModel("linf", eps), minimises="linf")
    clear = np.abs(margin - eps) > 1e-5
    assert np.array_equal(found.broken[clear], (margin < eps)[clear])
    assert np.allclose(found.distance, margin, atol=1e-5), "of the robust ones too"
    assert not found.escaped.any(), "it may leave the ball"


def test_project_counts_what_is_wrong_on_the_ball(further, line):
    model, x, y = line
    margin = model.margin(x, y, "linf").numpy()
    eps = float(np.median(margin))
    found = run(model, x, y, further, ThreatModel("linf", eps), minimises="linf", score="project")
    clear = np.abs(margin - eps) > 1e-5
    assert np.array_equal(found.broken[clear], (margin < eps)[clear])
    assert (found.distance[found.broken] <= np.float32(eps)).all()
    assert np.isnan(found.distance[~found.broken]).all()


def test_an_attack_that_minimises_another_norm_sees_no_ball(further, line, monkeypatch):
    seen = []
    entry = registry._CATALOG[further]
    spy = replace(entry, function=lambda problem: (seen.append(problem.threat), entry.function(problem))[1])
    monkeypatch.setitem(registry._CATALOG, further, spy)
    model, x, y = line
    found = run(model, x, y, further, ThreatModel("l2", 0.3), minimises="linf")
    assert seen == [ThreatModel("linf", float("inf"))]
    length = np.linalg.norm(found.distance[:, None], axis=1)
    assert np.array_equal(found.broken, length <= np.float32(0.3))


def test_the_nearest_of_all_restarts_counts(enter, line):
    def closer(problem):
        closer.times += 1
        return problem.clip(problem.x + (0.9 if closer.times == 2 else 1.0) * (1 - 2 * problem.x))

    closer.times = 0

    class Moved(torch.nn.Module):
        def forward(self, points):
            there = (points - line[1][: len(points)]).flatten(1).abs().amax(dim=1) > 0
            return torch.stack([1 - there.float(), there.float()], dim=1)

    x = line[1]
    enter(closer)
    y = torch.zeros(len(x), dtype=torch.int64)
    one = run(Moved(), x, y, "closer", ThreatModel("linf", 1e-4), minimises="linf", size=48)
    closer.times = 0
    three = run(Moved(), x, y, "closer", ThreatModel("linf", 1e-4), minimises="linf", size=48, restarts=3)
    assert np.allclose(three.distance, 0.9 * one.distance, rtol=1e-4)


# ── models that draw random numbers ──


class Noisy(torch.nn.Module):
    """Linear, with noise from the global generator on its logits."""

    def forward(self, x):
        clean = (x.flatten(1)[:, :2] * 4).cumsum(dim=1)
        return clean + torch.randn(len(x), 2)


def test_a_random_model_gets_the_cells_own_stream():
    x, y = images(40), torch.arange(40) % 2
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = run(Noisy(), x, y, eot=2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    other = run(Noisy(), x, y, eot=2)
    assert np.array_equal(one.broken, other.broken)
    assert np.array_equal(one.clean_predicted, other.clean_predicted)
    assert not np.array_equal(one.clean_predicted, run(Noisy(), x, y, eot=2, seed=1).clean_predicted)
    assert one.queries.max() == 20, "ten steps of two passes"


# ── transfer ──


def test_images_are_made_on_the_source_and_judged_on_the_target(asked):
    model, x, y = asked
    source, threat = ConvNet(COLOUR, seed=3, kind=torch.nn.Tanh), ThreatModel("linf", 0.2)
    spec = cell("fgsm", threat, len(x))
    found = run_cell(spec, Microbatches(model, 8), x, y, source=Microbatches(source, 8))
    images_ = x.clone().requires_grad_()
    torch.nn.functional.cross_entropy(source(images_), y, reduction="sum").backward()
    adv = (x + 0.2 * images_.grad.sign()).clamp(0, 1)
    right = classes(model, x) == y
    expected = (classes(model, adv) != y) | ~right
    assert np.array_equal(found.broken, expected.numpy())
    assert (~right).sum() < expected.sum() < len(x)
    assert np.array_equal(found.attacked, right.numpy()), "the target's own mistakes are not attacked"


def test_a_model_is_its_own_source(asked):
    model, x, y = asked
    spec = cell("pgd", ThreatModel("linf", 0.2), len(x), params=PGD)
    white = run_cell(spec, Microbatches(model, 8), x, y)
    own = run_cell(spec, Microbatches(model, 8), x, y, source=Microbatches(model, 8))
    for name, column in white.columns().items():
        assert np.array_equal(column, own.columns()[name], equal_nan=column.dtype.kind == "f")


def test_the_first_cell_of_a_chain_decides_about_the_clean_images():
    """Asked again, a random model would get other images wrong, which nobody has attacked."""
    x, y = images(40), torch.arange(40) % 2
    first = run(Noisy(), x, y, use="clean", threat=LINF)
    model = Watched(Noisy())
    second = run(model, x, y, before=first, params={"steps": 1, "step_size": 1e-9})
    assert np.array_equal(second.clean_predicted, first.clean_predicted)
    assert np.array_equal(second.attacked, ~first.broken)


def test_any_iterate_of_a_transfer_is_judged_on_the_target(enter, asked):
    """The source gets every point right, the target only the clean images."""

    def wander(problem):
        problem.logits((problem.x + 0.01).clamp(0, 1))
        return problem.x

    _, x, _ = asked
    name, y = enter(wander), torch.zeros(len(x), dtype=torch.int64)

    class Changed(torch.nn.Module):
        def forward(self, points):
            same = torch.tensor([bool((x == point).flatten(1).all(dim=1).any()) for point in points])
            return torch.stack([same.float(), 1 - same.float()], dim=1)

    class Sure(torch.nn.Module):
        def forward(self, points):
            return torch.tensor([[1.0, 0.0]]).expand(len(points), 2)

    spec = cell(name, LINF, len(x), select="any")
    padded = Microbatches(Changed(), 24)
    assert run_cell(spec, padded, x, y, source=Microbatches(Sure(), 24)).broken.all()
