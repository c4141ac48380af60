"""Jobs in lockstep: everybody is asked for at once, and nobody is lost or left hanging."""

import threading

import pytest

from robeval.ops.lockstep import lockstep


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def adder(times, total):
    def work(ask):
        for number in range(times):
            total.append(ask(number))

    return work


def test_questions_of_all_jobs_come_together_and_answers_go_back_to_whom_they_belong():
    totals, asked = {key: [] for key in (3, 5, 8)}, []

    def answer(questions):
        asked.append(dict(questions))
        return {key: 100 * key + number for key, number in questions.items()}

    lockstep({key: adder(key, total) for key, total in totals.items()}, answer)
    assert totals == {key: [100 * key + number for number in range(key)] for key in (3, 5, 8)}
    assert [set(each) for each in asked] == 3 * [{3, 5, 8}] + 2 * [{5, 8}] + 3 * [{8}]


def test_no_jobs_and_jobs_that_ask_nothing():
    lockstep({}, lambda questions: pytest.fail("nobody asked"))
    lockstep({1: lambda ask: None}, lambda questions: pytest.fail("nobody asked"))


def test_a_job_that_gets_no_answer_is_ended_and_the_others_go_on():
    totals, ends = {1: [], 2: []}, []

    def stubborn(ask):
        try:
            while True:
                totals[1].append(ask(0))
        except Exception:
            pytest.fail("its end is no exception that it may catch")
        finally:
            ends.append("ended")

    def answer(questions):
        return {key: 0 for key in questions if key == 2 or len(totals[1]) < 2}

    lockstep({1: stubborn, 2: adder(9, totals[2])}, answer)
    assert (len(totals[1]), len(totals[2]), ends) == (2, 9, ["ended"])


@pytest.mark.parametrize("at", [0, 3])
def test_an_error_in_one_job_ends_all_and_is_raised(at):
    reached = []

    def fails(ask):
        for number in range(5):
            if number == at:
                raise ZeroDivisionError("in a job")
            ask(number)

    with pytest.raises(ZeroDivisionError, match="in a job"):
        lockstep({0: adder(99, reached), 1: fails, 2: adder(99, [])}, dict)
    assert len(reached) <= at


def test_an_error_in_the_answer_ends_all_and_is_raised():
    def answer(questions):
        raise MemoryError("out of memory")

    with pytest.raises(MemoryError, match="out of memory"):
        lockstep({key: adder(3, []) for key in range(50)}, answer)
