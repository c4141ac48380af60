"""Algorithms that know one image only, run side by side, so that the model is asked about all of them at once."""

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Ask = Callable[[Question], Answer]


def lockstep(
    jobs: Mapping[int, Callable[[Ask[Question, Answer]], None]],
    answer: Callable[[dict[int, Question]], Mapping[int, Answer]],
) -> None:
    """Run jobs, each in a thread of its own, until all have ended.

    Only one side works at a time: `answer` is called in this thread once every job that is left has asked. An error
    in a job or in `answer` is raised here, after all jobs have been ended.

    Args:
        jobs: each is given a function that asks, and waits for the answer.
        answer: from each job's question to each job's answer; a job that is left out is ended.
    """
    threads = {key: _Job(work) for key, work in jobs.items()}
    try:
        for job in threads.values():
            job.start()
        waiting = threads
        while waiting:
            asked = {key: question for key, job in waiting.items() if (question := job.question()) is not None}
            answers = answer(asked) if asked else {}
            waiting = {key: threads[key] for key in answers}
            for key, job in waiting.items():
                job.reply(answers[key])
    finally:
        for job in threads.values():
            job.end()


class _Ended(BaseException):
    """Raised in a job that is not to go on; no `except Exception` on its way holds it up."""


class _Job(Generic[Question, Answer]):
    def __init__(self, work: Callable[[Ask[Question, Answer]], None]) -> None:
        self._work = work
        self._questions: SimpleQueue[Question | BaseException | None] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def question(self) -> Question | None:
        """What it asks next; None if it has come to its end."""
        said = self._questions.get()
        if isinstance(said, BaseException):
            raise said
        return said

    def reply(self, answer: Answer) -> None:
        self._answers.put(answer)

    def end(self) -> None:
        """End it at its next question, if it has not ended, and wait until it has."""
        if self._thread.ident is not None:
            self._answers.put(_Ended)
            self._thread.join()

    def _ask(self, question: Question) -> Answer:
        self._questions.put(question)
        answer = self._answers.get()
        if answer is _Ended:
            raise _Ended
        return answer

    def _run(self) -> None:
        try:
            self._work(self._ask)
            self._questions.put(None)
        except _Ended:
            pass
        except BaseException as failure:
            self._questions.put(failure)
