"""About how long it takes to compute what a published table wants."""

import time
from collections.abc import Iterable, Mapping

import torch

from robeval import api
from robeval.ledger.store import Ledger
from robeval.measuring import Prepared
from robeval.run import estimate
from robeval.run.measuring import Asked
from robeval.run.plan import pending
from robeval.zoo.model import LoadedModel

_PROBE = 4  # rows of a measure of data that are measured to see how long one takes
_FIT = 60.0  # seconds; of what is fitted to all samples at once


def of_runs(jobs: Iterable[api.Job], ledger: Ledger, device: torch.device) -> tuple[int, float]:
    """How many cells are to be run, and how many seconds that takes at most."""
    count, seconds = 0, 0.0
    for job in jobs:
        speed = _speeds(job, device)
        for cell in (cell for task in pending(job.plan, ledger) for cell in task.cells):
            rows = cell.slice.stop - cell.slice.start
            count += 1
            seconds += estimate.passes([cell.attack]) * rows * speed[cell.model]
    return count, seconds


def of_measure(ready: Prepared, ledger: Ledger, device: torch.device) -> tuple[int, float]:
    """How many questions the ledger has no answer to, and how many seconds answering them takes."""
    entry = ready.entry
    due = [each for each in ready.due if ledger.answer(entry.name, each.question.key) is None]
    if not due or entry.about == "theory":
        return len(due), float(len(due))
    if ready.job is None:
        return len(due), sum(_data_seconds(each) for each in due)
    if entry.about == "verdicts":
        return len(due), of_runs([ready.job], ledger, device)[1]
    speed = _speeds(ready.job, device)
    return len(due), sum(
        (estimate.repeated(each.question.params) + 2) * _rows(each) * speed[each.question.model] for each in due
    )


def _speeds(job: api.Job, device: torch.device) -> Mapping[str, float]:
    """Seconds of one pass of one image by model; in a transfer those of the one that the attacks see."""
    seen: Mapping[str, LoadedModel] = {name: job.source or model for name, model in job.models.items()}
    modules = {id(model): model.module for model in seen.values()}
    known = {key: estimate.seconds_per_pass(module, job.samples.shape, device) for key, module in modules.items()}
    return {name: known[id(model)] for name, model in seen.items()}


def _data_seconds(asked: Asked) -> float:
    """All rows take as long as the first few."""
    if asked.entry.at_once or asked.prepare is None:
        return _FIT
    work, rows = asked.prepare(), min(_PROBE, _rows(asked))
    start = time.perf_counter()
    work(range(rows))
    return (time.perf_counter() - start) / max(rows, 1) * _rows(asked)


def _rows(asked: Asked) -> int:
    data = asked.question.data
    return data.stop - data.start if data else 0
