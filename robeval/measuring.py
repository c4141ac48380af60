"""The Python interface to measures: what a model, a data set or a theorem is beside robust accuracy."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from robeval import api
from robeval.datasets import own
from robeval.datasets import registry as datasets
from robeval.datasets.registry import Samples
from robeval.errors import UserError, raise_together
from robeval.ledger.store import Ledger
from robeval.measures.registry import Entry, find, resolved
from robeval.reports import findings
from robeval.reports.write import findings_as_markdown, write_findings
from robeval.run import measuring
from robeval.run.local import Local
from robeval.run.measuring import Asked, answer
from robeval.values.attack import AttackSpec
from robeval.values.card import ModelCard
from robeval.values.cell import DataSlice
from robeval.values.measurement import Measured, Question
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel
from robeval.zoo import cards, factory

Models = api.Model | Sequence[api.Model] | Mapping[str, api.Model]
Run = Callable[[api.Job, Path], api.Evaluation]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came out.

    Attributes:
        table: one row per number, with its 95 % interval; `robeval.reports.findings.COLUMNS` names the columns.
        samples: one row per model and sample; empty for theory.
        ledger: the folder, if one was given.
        notes: what a reader should know.
    """

    table: pd.DataFrame
    samples: pd.DataFrame
    ledger: Path | None
    notes: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """The numbers as tables."""
        return findings_as_markdown(self.table)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured, of what and how; each measure takes some of these and refuses the others."""

    model: Models | None = None
    data: api.Data | None = None
    reference: api.Data | None = None
    suite: str | Path | Suite | None = None
    dataset: str | None = None
    split: str = "test"
    checkpoint: str | Path | None = None
    data_root: str | Path | None = None
    device: str = "auto"
    microbatch: int | None = None
    limit: int | None = None
    seed: int = 0


def measure(
    name: str,
    model: Models | None = None,
    data: api.Data | None = None,
    *,
    reference: api.Data | None = None,
    suite: str | Path | Suite | None = None,
    dataset: str | None = None,
    split: str = "test",
    checkpoint: str | Path | None = None,
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    microbatch: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    **params: Any,
) -> Measurement:
    """Measure something; `robeval measure` lists what.

    Args:
        name: of the measure.
        model: for measures of models and of verdicts: as `robeval.evaluate` takes it.
        data: images and classes in place of the data set's, as `robeval.evaluate` takes them.
        reference: for measures of data: the images and classes to compare with; the training split if None.
        suite: for measures of verdicts: what to attack with.
        dataset, split: the data; the card's own data set if None.
        out: a ledger folder; nothing is kept if None.
        params: the measure's own keywords.

    Raises:
        UserError: something given cannot be used.
    """
    asked = Request(
        model, data, reference, suite, dataset, split, checkpoint, data_root, device, microbatch, limit, seed
    )
    if out is not None:
        return run(name, params, asked, Path(out))
    with tempfile.TemporaryDirectory(prefix="robeval-") as folder:
        found = run(name, params, asked, Path(folder))
        return replace(found, ledger=None)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be measured, read and checked, and not begun.

    Attributes:
        due: each question, be its answer in the ledger or not.
        job: the attacks that a measure of verdicts needs; for a measure of models nothing to run.
    """

    entry: Entry
    due: list[Asked]
    job: api.Job | None = None


def prepare(name: str, params: Mapping[str, Any], asked: Request, ledger: Ledger) -> Prepared:
    """Read and check everything that measuring needs.

    Raises:
        UserError: something given cannot be used.
    """
    entry = find(name)
    raise_together(list(_unfit(entry, asked)))
    keywords = resolved(entry, params)
    about = {"model": _of_models, "data": _of_data, "verdicts": _of_verdicts, "theory": _of_theory}[entry.about]
    return about(entry, keywords, asked, ledger)


def run(
    name: str,
    params: Mapping[str, Any],
    asked: Request,
    out: Path,
    attack: Run = api.run,
    listen: Callable[[Question, float], None] = lambda _, __: None,
) -> Measurement:
    """Answer what the ledger in `out` does not have yet, and write its reports.

    Args:
        attack: runs the suite of a measure of verdicts.
        listen: told the share that is done of a question.
    """
    ledger = Ledger(out)
    ready = prepare(name, params, asked, ledger)
    if ready.entry.about == "verdicts" and ready.job:
        attack(ready.job, out)  # as far as its cells are not in the ledger
    answers = [answer(each, ledger, partial(listen, each.question)) for each in ready.due]
    write_findings(ledger)
    notes = dict.fromkeys([*(note for each in ready.due for note in each.notes), *ledger.notes()])
    return Measurement(findings.table_of(answers), _samples_of(answers), out, tuple(notes))


def _unfit(entry: Entry, asked: Request) -> Iterator[UserError]:
    """What the measure needs and was not given, and what it was given and has no use for."""
    where = f"measure '{entry.name}'"
    takes = {
        "model": {"model", "data", "dataset", "checkpoint"},
        "data": {"data", "reference", "dataset"},
        "verdicts": {"model", "suite", "data", "checkpoint"},
        "theory": set[str](),
    }[entry.about]
    needs = {"model": ("model",), "data": (), "verdicts": ("model", "suite"), "theory": ()}[entry.about]
    for name in ("model", "data", "reference", "suite", "dataset", "checkpoint"):
        given = getattr(asked, name)
        if given is not None and name not in takes:
            yield UserError(f"it is about {entry.about} and takes no {name}", where=where, fix=f"Leave out the {name}.")
        if given is None and name in needs:
            yield UserError(f"it is about {entry.about}, but no {name} is given", where=where, fix=f"Name a {name}.")
    if entry.about == "data" and asked.dataset is None and (asked.data is None or asked.reference is None):
        yield UserError("no data set is given", where=where, fix="Name one; `robeval data` lists them.")
    if asked.limit is not None and entry.at_once:
        yield UserError("it is fitted to all samples at once", where=where, fix="Leave out the limit.")
    if asked.limit is not None and asked.limit < 1:
        yield UserError(f"{asked.limit} samples cannot be measured", where="--limit", fix="Give 1 or more.")


def _of_theory(entry: Entry, params: dict[str, Any], asked: Request, ledger: Ledger) -> Prepared:
    question = Question(entry.name, params, seed=asked.seed, version=entry.version)
    return Prepared(entry, [measuring.of_theory(question, entry)])


def _of_data(entry: Entry, params: dict[str, Any], asked: Request, ledger: Ledger) -> Prepared:
    samples = _split(asked, asked.data, asked.split)
    same = asked.split == "train" and asked.data is None and asked.reference is None
    reference = samples if same else _split(asked, asked.reference, "train")
    data = _slice(samples, asked.limit)
    question = Question(entry.name, params, data=data, reference=reference.content, version=entry.version)
    return Prepared(entry, [measuring.of_data(question, entry, samples, reference)])


def _split(asked: Request, data: api.Data | None, split: str) -> Samples:
    name = asked.dataset or "data"
    if data is not None:
        return datasets.given(name, split, *own.arrays(data))
    roots = datasets.data_roots(None if asked.data_root is None else Path(asked.data_root))
    return datasets.load(name, split, roots, where="--dataset")


def _slice(samples: Samples, limit: int | None) -> DataSlice:
    stop = len(samples) if limit is None else min(limit, len(samples))
    return DataSlice(samples.dataset, samples.split, samples.content, 0, stop)


def _of_models(entry: Entry, params: dict[str, Any], asked: Request, ledger: Ledger) -> Prepared:
    """The checks of a model that is attacked are those of one that is measured, so it is planned as an attack."""
    threat = ThreatModel(params.get("norm", "linf"), params.get("eps", 0.0))
    spec = AttackSpec(entry.name, "fgsm" if entry.gradients else "clean", threat)
    dataset = asked.dataset or (
        "data" if asked.data is not None else dataset_of(asked.model, f"measure '{entry.name}'")
    )
    about = Suite(
        entry.name, entry.name, dataset, asked.split, threat, (Chain(entry.name, (spec,)),),
        where=f"measure '{entry.name}'",
    )  # fmt: skip
    job = _prepared(about, asked)
    local = Local(job.models, job.samples, ledger, job.device, job.microbatch)
    data = _slice(job.samples, asked.limit)
    questions = [
        Question(entry.name, params, each.id, each.fingerprint, data, seed=asked.seed, version=entry.version)
        for each in job.models.values()
    ]
    return Prepared(entry, [measuring.of_model(question, entry, local, job.notes) for question in questions], job)


def _of_verdicts(entry: Entry, params: dict[str, Any], asked: Request, ledger: Ledger) -> Prepared:
    if asked.suite is None:
        raise AssertionError("what is missing has been reported")
    job, found = _prepared(asked.suite, asked), []
    for plan in job.plan.models:
        cells = tuple(key for row in measuring.counted(plan) for keys in row.keys for key in keys)
        weights = job.models[plan.model].fingerprint
        data = _slice(job.samples, asked.limit)
        question = Question(
            entry.name, params, plan.model, weights, data, "", plan.suite, cells, asked.seed, entry.version
        )
        found.append(measuring.of_verdicts(question, entry, plan, ledger, job.samples))
    return Prepared(entry, found, job)


def _prepared(suite: str | Path | Suite, asked: Request) -> api.Job:
    if asked.model is None:
        raise AssertionError("what is missing has been reported")
    return api.prepare(
        asked.model, suite, asked.data, asked.checkpoint, asked.data_root, asked.device, asked.microbatch, asked.limit,
        asked.seed,
    )  # fmt: skip


def dataset_of(model: Models | None, where: str) -> str:
    """The data set of the first card among the models.

    Args:
        where: what asks, for the message.

    Raises:
        UserError: there is none.
    """
    listed = list(model.values()) if isinstance(model, Mapping) else model
    first = listed[0] if isinstance(listed, list | tuple) and listed else listed
    if isinstance(first, ModelCard):
        return first.dataset
    if isinstance(first, str | Path) and not (isinstance(first, str) and factory.is_factory(first)):
        return cards.load(str(first)).dataset
    raise UserError("the model has no card that names its data", where=where, fix="Give the data set as well.")


def _samples_of(answers: Sequence[Measured]) -> pd.DataFrame:
    """What the findings were made of; an array (n, m) is a column of lists."""
    parts = [
        pd.DataFrame(
            {"model": each.question.model}
            | {name: column if column.ndim == 1 else list(column) for name, column in each.columns.items()}
        )
        for each in answers
        if each.columns
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
