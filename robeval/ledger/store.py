"""The record of what is finished."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from robeval.errors import UserError
from robeval.ledger import answers, codec
from robeval.values.cell import CellFailure, CellResult
from robeval.values.digest import plain
from robeval.values.measurement import Measured
from robeval.values.plan import ModelPlan
from robeval.whole import write_whole

Record = TypeVar("Record")


class Ledger:
    """A folder with one Parquet file per finished cell, whole or absent.

    `cells/` holds nothing else, so any Parquet reader takes it as one table. Beside it: `plans/` (what each
    suite and model wants), `measures/` (answers beside robust accuracy, one folder per measure) and `parts/` (their
    finished slices, until they are whole), `failures/` (why a cell could not be finished), `damaged/` (files set
    aside) and `settings.json` (what a resumed run must do the same way).

    Args:
        root: the folder; made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.set_aside: list[Path] = []

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def put(self, result: CellResult) -> None:
        """Record a finished cell; an earlier failure of it is forgotten."""
        write_whole(self._cell(result.cell.key), codec.encode(result))
        with suppress(OSError):  # the result is what counts
            self._failure(result.cell.key).unlink()

    def get(self, key: str) -> CellResult | None:
        """A finished cell, or None. A file that is not whole is set aside, so that its cell is due again."""
        return self._decoded(self._cell(key), codec.decode, lambda result: result.cell.key == key)

    def fail(self, failure: CellFailure) -> None:
        """Record why a cell could not be finished."""
        text = {"cell": plain(failure.cell), "reason": failure.reason, "traceback": failure.traceback}
        write_whole(self._failure(failure.cell.key), json.dumps(text, indent=1).encode())

    def failure(self, key: str) -> str | None:
        """Why the cell could not be finished, or None."""
        text = self._json(self._failure(key)) or {}
        return text.get("reason")

    def settings(self) -> dict[str, Any]:
        """What a resumed run must do the same way."""
        return self._json(self.root / "settings.json") or {}

    def set(self, name: str, value: object) -> None:
        """Record one setting."""
        write_whole(self.root / "settings.json", json.dumps(self.settings() | {name: value}, indent=1).encode())

    def put_plan(self, plan: ModelPlan) -> None:
        """Record what one suite wants of one model, so that tables know which cells belong together."""
        write_whole(self.root / "plans" / f"{plan.name}.json", json.dumps(plain(plan), indent=1).encode())

    def plans(self) -> Iterator[ModelPlan]:
        """Every recorded plan, in the order of its name; one that cannot be read is set aside."""
        for path in sorted((self.root / "plans").glob("*.json")):
            if (text := self._json(path)) is None:
                continue
            try:
                yield codec.decode_plan(text)
            except ValueError:
                self._set_aside(path)

    def put_answer(self, answer: Measured, *, part: bool = False) -> None:
        """Record an answer, or the part of one that is about one slice."""
        write_whole(self._answer(answer.question.measure, answer.question.key, part), answers.encode(answer))

    def answer(self, measure: str, key: str, *, part: bool = False) -> Measured | None:
        """What was found, or None. A file that is not whole is set aside, so that it is measured again."""
        path = self._answer(measure, key, part)
        return self._decoded(path, answers.decode, lambda found: found.question.key == key)

    def answers(self) -> Iterator[Measured]:
        """Every answer, measure by measure, in the order of their keys."""
        for path in sorted((self.root / "measures").glob("*/*.parquet")):
            if found := self.answer(path.parent.name, path.stem):
                yield found

    def forget_part(self, measure: str, key: str) -> None:
        """Remove the part of an answer that is now whole."""
        with suppress(OSError):  # it is in nobody's way
            self._answer(measure, key, True).unlink()

    def notes(self) -> list[str]:
        """What happened to files on the way, for the user."""
        return [f"a damaged file was set aside, its work is done again: {path}" for path in self.set_aside]

    def _cell(self, key: str) -> Path:
        return self.root / "cells" / key[:2] / f"{key}.parquet"

    def _answer(self, measure: str, key: str, part: bool) -> Path:
        return self.root / ("parts" if part else "measures") / measure / f"{key}.parquet"

    def _decoded(self, path: Path, decode: Callable[[bytes], Record], fits: Callable[[Record], bool]) -> Record | None:
        """What is in a file; None if it is absent. One that is not whole, or another's, is set aside."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            found = decode(content)
        except ValueError:
            found = None
        if found is None or not fits(found):
            self._set_aside(path)
            return None
        return found

    def _failure(self, key: str) -> Path:
        return self.root / "failures" / f"{key}.json"

    def _json(self, path: Path) -> dict[str, Any] | None:
        """A JSON file; None if absent. A broken one is set aside."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error) from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._set_aside(path)
            return None
        return found

    def _set_aside(self, path: Path) -> None:
        aside = self.root / "damaged" / path.name
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside)
        except OSError as error:
            raise _unusable(path, error, "it is damaged and cannot be moved to damaged/") from None
        self.set_aside.append(aside)


def _unusable(path: Path, error: OSError, what: str = "it cannot be read") -> UserError:
    fix = "Make the ledger folder readable and writable, or give another one with --out."
    return UserError(f"{what}: {error.strerror or error}", where=path, fix=fix)
