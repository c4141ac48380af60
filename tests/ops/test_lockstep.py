"""Optimisers that ask in turn and are answered together."""

import threading

import pytest

from robeval.ops.lockstep import lockstep


def test_each_work_gets_the_answers_to_its_own_questions_in_batches():
    batches, sums = [], {}

    def work(number):
        def run(ask):
            sums[number] = sum(ask(10 * number + step) for step in range(number))

        return run

    def answers(asked):
        batches.append(sorted(asked))
        return {number: question + 0.5 for number, question in asked.items()}

    lockstep({number: work(number) for number in range(5)}, answers)
    assert sums == {number: sum(10 * number + step + 0.5 for step in range(number)) for number in range(5)}
    assert batches == [[1, 2, 3, 4], [2, 3, 4], [3, 4], [4]], "those that are done are not waited for"


def test_no_work_at_all():
    lockstep({}, lambda asked: pytest.fail("nobody asked"))


@pytest.mark.parametrize("who", ["work", "answers"])
def test_an_error_ends_everybody_and_is_raised(who):
    before = threading.active_count()

    def patient(ask):
        while True:
            ask(1)

    def fails(ask):
        ask(1)
        raise ZeroDivisionError("work")

    def answers(asked):
        if who == "answers":
            raise ZeroDivisionError("answers")
        return dict.fromkeys(asked, 1)

    with pytest.raises(ZeroDivisionError, match=who):
        lockstep({0: patient, 1: fails, 2: patient}, answers)
    assert threading.active_count() == before
