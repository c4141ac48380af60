"""From a question to its answer: slice by slice, each kept, so that a measure goes on where it was stopped."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.measures.registry import Entry
from robeval.ops.microbatch import Microbatches
from robeval.ops.noise import Noise
from robeval.ops.problem import Problem
from robeval.run.local import Local
from robeval.values.cell import Verdicts
from robeval.values.digest import digest
from robeval.values.measurement import Columns, Measured, Question
from robeval.values.plan import ModelPlan, Row
from robeval.values.threat import ThreatModel
from robeval.version import VERSION

SLICE = 1000  # samples of a part: the unit of resumption
Listen = Callable[[float], None]
Work = Callable[[range], Columns]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how it is answered.

    Attributes:
        notes: what a reader should know.
        prepare: gives, once it is needed, what makes the columns of some rows; None for theory, which has none.
    """

    entry: Entry
    question: Question
    made_with: Callable[[], Mapping[str, str]]
    prepare: Callable[[], Work] | None = None
    notes: tuple[str, ...] = ()


def answer(asked: Asked, ledger: Ledger, listen: Listen = lambda _: None) -> Measured:
    """The answer, from the ledger as far as it is there.

    Args:
        listen: told the share that is done.

    Raises:
        UserError: memory is not enough for it.
    """
    question, entry = asked.question, asked.entry
    if found := ledger.answer(entry.name, question.key):
        return found
    try:
        whole = _sliced(asked, asked.prepare, ledger, listen) if asked.prepare else _theory(asked)
    except MemoryError:
        found_short = f"memory is not enough to measure '{entry.name}' of {question.subject}"
        raise UserError(found_short, where="measure", fix="Give fewer samples with --limit, or more memory.") from None
    ledger.put_answer(whole)
    for part in _parts(asked):
        ledger.forget_part(entry.name, part.key)
    return whole


def _theory(asked: Asked) -> Measured:
    start = time.perf_counter()
    findings = asked.entry.function(draw_of(asked.question), **asked.question.params)
    return Measured(asked.question, tuple(findings), {}, time.perf_counter() - start, asked.made_with())


def draw_of(question: Question) -> np.random.Generator:
    """Random numbers that belong to the seed and the measure."""
    key = int(digest({"seed": question.seed, "measure": question.measure}), 16)
    return np.random.Generator(np.random.Philox(key=key))


def _sliced(asked: Asked, prepare: Callable[[], Work], ledger: Ledger, listen: Listen) -> Measured:
    """The columns of each slice, joined, and the findings that they give."""
    entry, question = asked.entry, asked.question
    parts = _parts(asked)
    work: Work | None = None
    found: list[Measured] = []
    for place, part in enumerate(parts):
        listen(place / len(parts))
        done = ledger.answer(entry.name, part.key, part=True)
        if done is None:
            start = time.perf_counter()
            work = work or prepare()
            columns = work(range(part.data.start, part.data.stop)) if part.data else {}
            done = Measured(part, (), columns, time.perf_counter() - start, asked.made_with())
            if len(parts) > 1:
                ledger.put_answer(done, part=True)
        found.append(done)
    columns = {name: np.concatenate([each.columns[name] for each in found]) for name in found[0].columns}
    findings = tuple(entry.summary(columns, question.params)) if entry.summary else ()
    return Measured(question, findings, columns, sum(each.seconds for each in found), found[-1].made_with)


def _parts(asked: Asked) -> list[Question]:
    data = asked.question.data
    if data is None:
        return []
    size = data.stop - data.start if asked.entry.at_once else SLICE
    starts = range(data.start, data.stop, max(size, 1))
    return [
        replace(asked.question, data=replace(data, start=start, stop=min(start + size, data.stop))) for start in starts
    ]


def of_theory(question: Question, entry: Entry) -> Asked:
    """About nothing but the measure's parameters."""
    return Asked(entry, question, made_by_cpu)


def of_model(question: Question, entry: Entry, local: Local, notes: tuple[str, ...] = ()) -> Asked:
    """About a model that `local` holds under the question's name.

    Whatever draws from torch's global generator meanwhile gets a stream of the slice's own.
    """
    threat = ThreatModel(question.params.get("norm", "linf"), question.params.get("eps", 0.0))

    def work(rows: range) -> Columns:
        x, y = local.slice(rows.start, rows.stop)
        samples = np.arange(rows.start, rows.stop)

        def ask(model: Microbatches) -> Columns:
            noise = Noise(question.seed, entry.name, 0, samples, x.device)
            problem = Problem(model, x, y, threat, noise)
            with torch.random.fork_rng([x.device] if x.is_cuda else []):
                torch.manual_seed(int(digest([question.key, rows.start])[:15], 16))
                columns: Columns = entry.function(problem, **question.params)
            _refuse_nonfinite(problem.nonfinite, rows, question.model)
            return columns

        return {"sample": samples, **local.ask(question.model, ask)}

    return Asked(entry, question, local.made_with, lambda: work, notes)


def _refuse_nonfinite(nonfinite: Tensor, rows: range, model: str) -> None:
    if nonfinite.any():
        first, count = rows.start + int(nonfinite.nonzero()[0]), int(nonfinite.sum())
        raise UserError(
            f"its logits or gradients at or near sample {first} are NaN or infinite ({count} of {len(rows)} samples)",
            where=f"model '{model}'",
            fix="Check the model's weights and input normalisation.",
        )


def of_data(question: Question, entry: Entry, samples: Samples, reference: Samples) -> Asked:
    """About samples beside others."""

    def prepare() -> Work:
        work: Work = entry.function(samples, reference, **question.params)
        return work if entry.at_once else lambda rows: {"sample": np.arange(rows.start, rows.stop), **work(rows)}

    return Asked(entry, question, made_by_cpu, prepare)


def of_verdicts(question: Question, entry: Entry, plan: ModelPlan, ledger: Ledger, samples: Samples) -> Asked:
    """About what the attacks of a suite that stay in its threat model have found; their cells are in the ledger."""

    def prepare() -> Work:
        found = {row.id: _joined(row, ledger) for row in counted(plan)}

        def work(rows: range) -> Columns:
            x, _ = samples.slice(rows.start, rows.stop)
            here = {name: _part(each, rows) for name, each in found.items()}
            columns = entry.function(here, x.numpy(), plan, **question.params)
            return {"sample": np.arange(rows.start, rows.stop), **columns}

        return work

    return Asked(entry, question, made_by_cpu, prepare)


def counted(plan: ModelPlan) -> list[Row]:
    """The attacks for which what breaks a sample breaks it in the suite's threat model too.

    Raises:
        UserError: there is none.
    """
    threat = plan.threat
    rows = [row for row in plan.rows if plan.counts(row)]
    if not rows:
        found = f"none of its attacks is in {threat.norm} and within eps {threat.eps:g}"
        raise UserError(found, where=f"suite '{plan.suite}'", fix="Give a suite with attacks in its own threat model.")
    return rows


def _joined(row: Row, ledger: Ledger) -> Verdicts:
    """The verdicts of an attack on all samples.

    Raises:
        UserError: a cell is missing.
    """
    cells = [ledger.get(keys[-1]) for keys in row.keys]  # the last cell of a chain has its verdicts
    done = [cell.verdicts.columns() for cell in cells if cell]
    if len(done) < len(cells):
        found = f"{len(cells) - len(done)} of {len(cells)} cells of '{row.id}' are missing"
        raise UserError(found, where=ledger.root, fix="The reasons are in failures/; mend them and run it again.")
    joined: dict[str, Any] = {name: np.concatenate([each[name] for each in done]) for name in done[0]}
    return Verdicts(**joined)


def _part(verdicts: Verdicts, rows: range) -> Verdicts:
    here: dict[str, Any] = {name: column[rows.start : rows.stop] for name, column in verdicts.columns().items()}
    return Verdicts(**here)


def made_by_cpu() -> Mapping[str, str]:
    """Versions of what computes without a model."""
    return {
        "robeval": VERSION,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": f"cpu ({platform.machine()})",
    }
