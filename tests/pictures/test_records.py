"""Rows of a ledger that a picture wants, and those that cannot stand beside each other."""

import numpy as np
import pytest

from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.pictures import registry
from robeval.pictures.records import Records, Wanted
from robeval.values.cell import DataSlice
from robeval.values.measurement import Finding, Measured, Question

N = 10


def steps_of(model, eps=0.1, n=N, *, seed=0, dataset="digits", weights="w", steps=2):
    """An answer of `steps`, with accuracies that tell model and step apart."""
    params = {"eps": eps, "norm": "linf", "steps": steps, "step_size": 0.02, "loss": "ce", "kappa": None,
              "random_start": True}  # fmt: skip
    findings = [
        Finding(f"{count}_accuracy", value - step / 10, 0.1, 0.9, n, f"steps={step}")
        for count, value in (("final", 0.8), ("any", 0.7))
        for step in range(steps + 1)
    ]
    data = DataSlice(dataset, "test", "content", 0, n)
    return Measured(Question("steps", params, model, weights, data, seed=seed), tuple(findings))


def separation_of(split, distances, *, dataset="digits", drop=0, content="content"):
    distances = np.array(distances)
    data = DataSlice(dataset, split, f"{content} {split}", 0, len(distances))
    question = Question("separation", {"drop": drop}, data=data, reference="train")
    findings = (Finding("separation", float(distances.min()), n=len(distances)),)
    return Measured(question, findings, {"distance": distances, "nearest": np.zeros(len(distances), int)})


@pytest.fixture
def shown(tmp_path):
    """What a kind shows of a ledger with some answers."""

    def ask(kind, *answers, params=None, **wanted):
        ledger = Ledger(tmp_path)
        for answer in answers:
            ledger.put_answer(answer)
        entry = registry.find(kind)
        return entry.function(Records(ledger, Wanted(**wanted)), **registry.resolved(entry, params or {}))

    return ask


def test_curves_are_the_rows_of_the_ledger(shown):
    chart = shown("steps", steps_of("b"), steps_of("a"))
    assert [each.label for each in chart.lines] == [
        "a, any so far", "a, last iterate", "b, any so far", "b, last iterate",
    ]  # fmt: skip
    for each in chart.lines:
        assert each.x.tolist() == [0, 1, 2]
        assert each.y == pytest.approx([80, 70, 60] if "last" in each.label else [70, 60, 50])
        assert each.low.tolist() == [10, 10, 10]
        assert each.high.tolist() == [90, 90, 90]
        assert each.dashed == ("last" in each.label)
    assert chart.lines[0].colour == chart.lines[1].colour != chart.lines[2].colour
    assert "n = 10" in chart.title
    assert "ε = 0.1" in chart.title
    assert "Step size 0.02" in chart.note


def test_models_stand_in_the_order_in_which_they_are_wanted(shown):
    chart = shown("steps", steps_of("b"), steps_of("a"), steps_of("c"), models=("c", "a"), params={"counts": "any"})
    assert [each.label for each in chart.lines] == ["c", "a"]
    assert chart.note.endswith("Wrong from the first misclassified iterate on.")
    assert not any(each.dashed for each in chart.lines)


@pytest.mark.parametrize(
    ("other", "choice"),
    [
        (steps_of("b", n=20), {"n": 10}),
        (steps_of("b", seed=1), {"seed": 0}),
        (steps_of("b", dataset="mnist"), {"dataset": "digits"}),
        (steps_of("b", eps=0.2), {"params": {"eps": 0.1}}),
        (steps_of("b", steps=3), {"params": {"steps": 2}}),
    ],
)
def test_what_cannot_be_compared_is_not_put_together(shown, other, choice):
    with pytest.raises(UserError, match="cannot stand beside each other") as caught:
        shown("steps", steps_of("a"), other)
    assert "--n" in caught.value.fix
    chart = shown("steps", **choice)
    assert [each.label for each in chart.lines] == ["a, any so far", "a, last iterate"]


def test_a_model_that_was_changed_is_not_two(shown):
    with pytest.raises(UserError, match="two sets of weights"):
        shown("steps", steps_of("a"), steps_of("a", weights="other"))


def test_what_is_missing_is_said_with_the_command_that_makes_it(shown, tmp_path):
    with pytest.raises(UserError, match="it has no 'steps' yet") as caught:
        shown("steps", models=("net",))
    assert (
        caught.value.fix == f"Make one: robeval measure steps --model net --eps EPS --step-size SIZE --out {tmp_path}"
    )
    with pytest.raises(UserError, match=r"no 'steps' of net; it has\n  - a, digits \(test\), n = 10, seed 0") as caught:
        shown("steps", steps_of("a"), models=("a", "net"))
    assert "--model net" in caught.value.fix
    with pytest.raises(UserError, match=r"no 'steps' with eps 0.3; it has\n  - digits \(test\), n = 10, eps=0.1"):
        shown("steps", params={"eps": 0.3})
    with pytest.raises(UserError, match="no 'separation' yet") as caught:
        shown("separation", dataset="mnist")
    assert "robeval measure separation --dataset mnist" in caught.value.fix


def test_histograms_count_every_distance_once(shown):
    test, train = [0.05, 0.35, 0.35, 1.0], [0.5, 0.5]
    histogram = shown(
        "separation", separation_of("test", test), separation_of("test", test, drop=2), separation_of("train", train),
        params={"bins": 10, "eps": 0.2},
    )  # fmt: skip
    one, other = histogram.sets
    assert one.shares.tolist() == [25, 0, 0, 50, 0, 0, 0, 0, 0, 25]
    assert one.edges == pytest.approx(np.linspace(0, 1, 11))
    assert one.least == 0.05
    assert other.shares.sum() == 100
    assert one.label == "digits (test), n = 4: least 0.05"
    assert histogram.mark == 0.4
    assert len(shown("separation", split="train").sets) == 1


def test_every_kind_is_described_and_misspelt_ones_are_offered():
    for entry in registry.catalog().values():
        assert entry.short.endswith(".")
    with pytest.raises(UserError) as caught:
        registry.find("gradient")
    assert "Did you mean 'gradients'?" in caught.value.fix
