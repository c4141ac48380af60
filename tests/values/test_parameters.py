"""Keywords from a file against a function's signature."""

from typing import Annotated, Any, Literal

import pytest

from robeval.values.parameters import Bound, Count, NotNegative, Positive, listed, resolve


def function(
    problem: object,
    *,
    steps: Count,
    step_size: Positive = 0.1,
    beta: NotNegative = 0.0,
    loss: Literal["ce", "margin"] = "ce",
    padding: Literal[0, 1] = 0,
    random_start: bool = True,
    mean: tuple[float, ...] = (),
    section: dict[str, Any] | None = None,
    parts: tuple[dict[str, Any], ...] = (),
    ratio: Annotated[float, Bound(1)] = 1.0,
    name: str = "",
) -> None:
    """Takes one of each."""


def needs_a_section(*, network: dict[str, Any]) -> None:
    """Takes a section."""


def test_a_bound_may_have_an_upper_end():
    assert str(Bound(0, high=1)) == "at least 0 and at most 1"
    assert [Bound(0, high=1).holds(number) for number in (-0.1, 0, 1, 1.1)] == [False, True, True, False]


def messages(given):
    return [str(problem) for problem in resolve(function, {"steps": 1} | given, "suite.toml")[1]]


def test_defaults_and_conversions():
    given = {"steps": 3, "step_size": "2/255", "mean": [1, "1/2"], "section": {"a": 1}, "parts": [{"b": 2}]}
    values, problems = resolve(function, given, "suite.toml")
    assert problems == []
    assert values["step_size"] == 2 / 255
    assert values["mean"] == (1.0, 0.5)
    assert [type(number) for number in values["mean"]] == [float, float]
    assert values["section"] == {"a": 1}
    assert values["parts"] == ({"b": 2},)
    assert values["random_start"] is True
    assert "problem" not in values


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"steps": 0}, "'steps' is 0, expected a whole number at least 1"),
        ({"steps": 1.5}, "expected a whole number at least 1"),
        ({"steps": True}, "expected a whole number"),
        ({"step_size": 0}, "expected a number above 0"),
        ({"step_size": "fast"}, "expected a number above 0"),
        ({"step_size": float("nan")}, "expected a number above 0"),
        ({"beta": -1}, "expected a number at least 0"),
        ({"ratio": 0.5}, "expected a number at least 1"),
        ({"loss": "crossentropy"}, "expected one of 'ce', 'margin'"),
        ({"padding": True}, "'padding' is True, expected one of 0, 1"),
        ({"padding": 1.0}, "expected one of 0, 1"),
        ({"random_start": 1}, "expected true or false"),
        ({"mean": 0.5}, "expected a list in which each item is a number"),
        ({"mean": [0.5, "x"]}, "expected a list in which each item is a number"),
        ({"section": 3}, "expected a section"),
        ({"parts": [1]}, "expected a list in which each item is a section"),
        ({"name": 3}, "expected a text"),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_expected(given, expected):
    (message,) = messages(given)
    assert expected in message
    assert message.startswith("suite.toml: ")
    assert next(iter(given)) in message


def test_unknown_keys_are_answered_with_the_nearest():
    (message,) = messages({"step_sise": 1})
    assert "takes no 'step_sise'" in message
    assert "Did you mean 'step_size'?" in message


def test_missing_keys_and_sections():
    _, (problem,) = resolve(function, {}, "suite.toml")
    assert str(problem) == "suite.toml: 'steps' is missing\n  Add 'steps = ...'."
    _, (problem,) = resolve(needs_a_section, {}, "card.toml")
    assert str(problem) == "card.toml: 'network' is missing\n  Add a section [network]."


def test_all_problems_are_found_at_once():
    assert len(messages({"steps": 0, "beta": -1, "colour": "red"})) == 3


def test_what_may_be_written_is_listed_in_words():
    rows = {name: (allowed, default) for name, allowed, default in listed(function)}
    assert "problem" not in rows
    assert rows["steps"] == ("a whole number at least 1", "required")
    assert rows["step_size"] == ("a number above 0", "0.1")
    assert rows["loss"] == ('"ce", "margin"', '"ce"')
    assert rows["random_start"] == ("true or false", "true")
    assert rows["section"] == ("a section", "left out")
    assert rows["mean"] == ("a list, each item a number", "[]")
    assert rows["parts"] == ("a list, each item a section", "[]")
