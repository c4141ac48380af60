"""The one error a user can cause."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any


class UserError(Exception):
    """Something the user gave cannot be used: said in one message, with the way out.

    Everything else that is raised is a bug of robeval and keeps its traceback.

    Args:
        what: what was found and what was expected.
        where: the file, option or argument it is about.
        fix: what to do now.
        parts: the errors that this one tells together.

    Attributes:
        code: what the command exits with: 2 for what the user can mend.
    """

    code = 2

    def __init__(self, what: str, *, where: object = "", fix: str = "", parts: Sequence["UserError"] = ()) -> None:
        self.what, self.where, self.fix, self.parts = what, str(where), fix, tuple(parts)
        self.code = max((part.code for part in parts), default=self.code)
        head = f"{where}: {what}" if self.where else what
        super().__init__(f"{head}\n  {fix}" if fix else head)


class FetchError(UserError):
    """A file could not be had from the web; nothing is wrong with what the user gave, so the command exits with 1."""

    code = 1


class CellError(UserError):
    """A model cannot do what one cell asks: that cell fails, the others go on, and the command exits with 1."""

    code = 1


def raise_together(problems: Sequence[UserError]) -> None:
    """Raise all problems, each once, as one error, so that they can be mended in one go."""
    problems = list({str(problem): problem for problem in problems}.values())
    if len(problems) == 1:
        raise problems[0]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise UserError(f"{len(problems)} things stand in the way:\n{listed}", parts=problems)


class Problems(list[UserError]):
    """What was found wrong so far, to be raised together."""

    def attempt(self, work: Callable[..., Any], *arguments: object) -> Any:
        """What `work` returns; if it raises a UserError that is noted, and None stands in until all are raised."""
        try:
            return work(*arguments)
        except UserError as error:
            self.extend(error.parts or (error,))
            return None


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the known name closest to `name`, or lists them all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listed = ", ".join(known) if known else "none"
    return f"Did you mean '{close[0]}'? Known: {listed}." if close else f"Known: {listed}."
