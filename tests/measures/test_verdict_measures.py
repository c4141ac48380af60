"""Measures of verdicts: distances, curves and errors, from verdicts that a test chooses."""

from dataclasses import replace

import numpy as np
import pytest
import records

from robeval.measures import registry
from robeval.values.threat import ThreatModel

NAN = np.nan


def verdicts(distances, natural="11111"):
    broken = "".join("0" if np.isnan(each) else "1" for each in distances)
    made = records.verdicts(broken, natural)
    wrong = made.clean_predicted != made.label
    return replace(made, distance=np.where(wrong, 0, distances).astype(np.float32))


@pytest.fixture
def two():
    """Two attacks on five samples, the last of which is wrong anyway."""
    natural = "11110"
    return {
        "one": verdicts([0.1, NAN, 0.05, NAN, NAN], natural),
        "other": verdicts([0.2, 0.03, NAN, NAN, NAN], natural),
    }


def columns(name, given, norm="linf", minimises="", others=(), **params):
    """The columns of a measure; the first attack may be one that looks for the nearest image, others are smaller."""
    entry, threat = registry.find(name), ThreatModel(norm, 0.1)
    balls = [threat, *(ThreatModel(norm, eps) for eps in others), threat, threat][: len(given)]
    specs = [records.spec(key, ball) for key, ball in zip(given, balls, strict=True)]
    specs[0] = replace(specs[0], minimises=minimises)
    planned = records.plan("net", {each.id: ((each,), ()) for each in specs}, 5, threat)
    return entry.function(given, np.full((5, 1, 2, 2), 0.25, np.float32), planned, **registry.resolved(entry, params))


@pytest.mark.parametrize(("norm", "furthest"), [("linf", 0.75), ("l2", 1.5), ("l1", 3.0)])
def test_the_nearest_adversarial_image(two, norm, furthest, found):
    made = columns("distance", two, norm)
    assert made["distance"] == pytest.approx([0.1, 0.03, 0.05, furthest, 0])
    assert list(made["found"]) == [True, True, True, False, True]
    of = found("distance", made)
    assert of["distance_mean", ""].value == pytest.approx((0.18 + furthest) / 5)
    assert of["distance_median", ""].value == pytest.approx(0.05)
    assert of["distance_mean", "found"].value == pytest.approx(0.18 / 4)
    assert of["found", ""].value == 0.8


def test_the_curve_over_radii(two, found):
    of = found("curve", columns("curve", two, minimises="linf", points=4), points=4)
    assert {each.metric for each in of.values()} == {"robust_accuracy"}
    assert [each.at for each in of.values()] == ["eps=0", "eps=0.025", "eps=0.05", "eps=0.075", "eps=0.1"]
    assert [each.value for each in of.values()] == [0.8, 0.8, 0.4, 0.4, 0.2]


@pytest.mark.parametrize("minimises", ["", "l2"])  # the nearest in another norm is not the nearest
def test_radii_at_which_no_attack_has_looked_have_an_upper_bound_only(two, found, minimises):
    made = columns("curve", two, minimises=minimises, others=[0.05], points=5)
    of = found("curve", made, points=5)
    known = {each.at: each.value for each in of.values() if each.metric == "robust_accuracy"}
    assert known == {"eps=0": 0.8, "eps=0.05": 0.4, "eps=0.1": 0.2}  # the attacks' own radii are among the points
    bounds = [each for each in of.values() if each.metric == "robust_accuracy_at_most"]
    assert [each.at for each in bounds] == ["eps=0.02", "eps=0.04", "eps=0.06", "eps=0.08"]
    assert np.isnan([[each.low, each.high] for each in bounds]).all()
    beyond = found("curve", made, points=5, radii=["1/5"])
    assert list(beyond) == [("robust_accuracy_at_most", "eps=0.2")]


def test_an_attack_that_is_scored_after_projection_stays_in_the_ball(two, found):
    one = {"one": two["one"]}
    assert ("robust_accuracy", "eps=0.05") in found("curve", columns("curve", one, minimises="linf"), points=2)
    planned = records.plan("net", {"one": ((records.spec("one", minimises="linf", score="project"),), ())}, 5)
    made = registry.find("curve").function(one, np.zeros((5, 1, 2, 2), np.float32), planned)
    assert ("robust_accuracy_at_most", "eps=0.05") in found("curve", made, points=2)


def test_the_curve_ends_in_the_worst_case(found):
    """A distance that float32 has rounded above eps counts as within it, as it does for the judge."""
    assert float(np.float32(0.1)) > 0.1
    of = found("curve", columns("curve", {"one": verdicts([0.1, NAN, NAN, NAN, NAN])}, radii=["1/10"]), radii=[0.1])
    assert of["robust_accuracy", "eps=0.1"].value == 0.8


def test_robust_error_is_natural_plus_boundary_error(two, found):
    made = columns("errors", two)
    assert np.array_equal(made["natural"].astype(int) + made["boundary"], made["robust"])
    of = found("errors", made)
    assert [of[f"{kind}_error", ""].value for kind in ("natural", "boundary", "robust")] == [0.2, 0.6, 0.8]
