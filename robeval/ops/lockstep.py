"""Optimisers of one image each, run side by side so that a model sees all their questions in one batch.

An optimiser from a library calls back for the value at a point and knows nothing of batches. Here each has a thread
of its own that sleeps whenever it asks; once all are asleep or done, their questions are answered together.
What an optimiser is told depends on its own questions alone.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class _Stopped(BaseException):
    """Ends the threads that still wait after somebody failed."""


class _Seat(Generic[Question, Answer]):
    """One optimiser's place: its question, the answer, and what went wrong."""

    def __init__(self) -> None:
        self.question: Question | None = None
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.stopped = False
        self.answered = threading.Semaphore(0)


def lockstep(
    works: Mapping[int, Callable[[Callable[[Question], Answer]], None]],
    answers: Callable[[Mapping[int, Question]], Mapping[int, Answer]],
) -> None:
    """Run every work until it returns.

    Args:
        works: by number; each is called with a function `ask` that takes a question and returns the answer.
        answers: the answers to all questions that are asked at a time, by the same numbers.

    Raises:
        Exception: what a work or `answers` raised; the other works are ended first.
    """
    seats: dict[int, _Seat[Question, Answer]] = {number: _Seat() for number in works}
    arrived = threading.Semaphore(0)
    threads = {
        number: threading.Thread(target=_sit, args=(seats[number], work, arrived), daemon=True)
        for number, work in works.items()
    }
    for thread in threads.values():
        thread.start()
    waiting = len(seats)
    try:
        while waiting:
            for _ in range(waiting):
                arrived.acquire()
            for seat in seats.values():
                if seat.error is not None:
                    raise seat.error
            asked = {number: seat.question for number, seat in seats.items() if seat.question is not None}
            waiting = len(asked)
            found = answers(asked) if asked else {}
            for number in asked:
                seat = seats[number]
                seat.question, seat.answer = None, found[number]
                seat.answered.release()
    finally:
        for seat in seats.values():
            seat.stopped = True
            seat.answered.release()
        for thread in threads.values():
            thread.join()


def _sit(
    seat: _Seat[Question, Answer], work: Callable[[Callable[[Question], Answer]], None], arrived: threading.Semaphore
) -> None:
    def ask(question: Question) -> Answer:
        seat.question = question
        arrived.release()
        seat.answered.acquire()
        if seat.stopped or seat.answer is None:
            raise _Stopped
        return seat.answer

    try:
        work(ask)
    except _Stopped:
        pass
    except BaseException as error:  # raised again by the one who called
        seat.error = error
    finally:
        arrived.release()
