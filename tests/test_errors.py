"""The one error of users: messages, several at once, and the nearest name."""

import pytest

from robeval.errors import Problems, UserError, nearest, raise_together


def test_a_message_says_where_what_and_what_next():
    assert str(UserError("it is cut", where="a.toml", fix="Get it again.")) == "a.toml: it is cut\n  Get it again."
    assert str(UserError("it is cut", where="a.toml")) == "a.toml: it is cut"
    assert str(UserError("it is cut", fix="Get it again.")) == "it is cut\n  Get it again."
    assert str(UserError("it is cut")) == "it is cut"


def test_no_problem_raises_nothing():
    raise_together([])


def test_one_problem_is_raised_as_it_is():
    problem = UserError("one")
    with pytest.raises(UserError) as caught:
        raise_together([problem])
    assert caught.value is problem


def test_several_problems_are_one_message():
    problems = [UserError("first", where="a", fix="Mend a."), UserError("second", where="b")]
    with pytest.raises(UserError) as caught:
        raise_together(problems)
    assert str(caught.value) == "2 things stand in the way:\n- a: first\n  Mend a.\n- b: second"
    assert caught.value.parts == tuple(problems)


def test_attempts_collect_problems_and_let_the_rest_go_on():
    def refuse(*what):
        raise_together([UserError(each) for each in what])
        return "fine"

    problems = Problems()
    assert problems.attempt(refuse) == "fine"
    assert problems.attempt(refuse, "a") is None
    assert problems.attempt(refuse, "b", "c") is None
    assert [each.what for each in problems] == ["a", "b", "c"]


def test_attempts_let_bugs_through():
    with pytest.raises(ZeroDivisionError):
        Problems().attempt(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("pdg", ["pgd", "fgsm"], "Did you mean 'pgd'? Known: fgsm, pgd."),
        ("step_sise", ["steps", "step_size", "loss"], "Did you mean 'step_size'? Known: loss, step_size, steps."),
        ("quite other", ["pgd", "fgsm"], "Known: fgsm, pgd."),
        ("pgd", [], "Known: none."),
        ("pgd20", iter(["pgd40", "fgsm"]), "Did you mean 'pgd40'? Known: fgsm, pgd40."),
    ],
)
def test_the_nearest_name(name, known, expected):
    assert nearest(name, known) == expected
