"""The Python interface: evaluate a model with a suite in one call."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from robeval.datasets import own
from robeval.datasets import registry as datasets
from robeval.datasets.choose import choose
from robeval.datasets.registry import Samples
from robeval.errors import Problems, UserError, raise_together
from robeval.fetch.download import Listen
from robeval.ledger.store import Ledger
from robeval.reports import measure
from robeval.reports.write import as_markdown, write_reports
from robeval.run.bench import choose_device
from robeval.run.drive import Outcome, execute
from robeval.run.engine import Made
from robeval.run.local import Local, Progress
from robeval.run.plan import make_plan, resolved
from robeval.suites import load as suites
from robeval.values.card import ModelCard
from robeval.values.cell import Cell
from robeval.values.plan import Plan
from robeval.values.suite import Suite
from robeval.zoo import cards, factory
from robeval.zoo.load import load_model, wrap
from robeval.zoo.model import LoadedModel
from robeval.zoo.obtain import obtain

Model = str | Path | ModelCard | nn.Module
Data = tuple[Any, Any]
Share = Callable[[Cell, Made], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Attributes:
        table: one row per model and attack and one `worst_case` row per model; accuracies are fractions.
        samples: one row per model, attack and sample.
        failed: how many cells could not be finished.
        ledger: the folder, if one was given.
    """

    table: pd.DataFrame
    samples: pd.DataFrame
    failed: int
    ledger: Path | None

    def to_markdown(self) -> str:
        """The ranking and the table of attacks, accuracies in percent with 95 % intervals."""
        return as_markdown(self.table)


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is planned and checked, and not begun."""

    plan: Plan
    models: dict[str, LoadedModel]
    samples: Samples
    device: torch.device
    microbatch: int | None
    notes: tuple[str, ...]
    source: LoadedModel | None = None


def evaluate(
    model: Model | Sequence[Model] | Mapping[str, Model],
    suite: str | Path | Suite,
    data: Data | str | Path | None = None,
    *,
    checkpoint: str | Path | None = None,
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    microbatch: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    source: Model | None = None,
    sample: str | None = None,
) -> Evaluation:
    """Attack one or several models with a suite.

    Args:
        model: an `nn.Module` that maps float32 images (n, c, h, w) in [0, 1] to logits (n, k); a card, its
            name or its path; "package.module:factory", called without arguments; or a sequence of these, or a
            dictionary of them by the names to call them. A module is called by its class otherwise; it is copied,
            frozen and put in evaluation mode.
        suite: its name, the path of its TOML file, or a Suite.
        data: images, float32 in [0, 1] or uint8 (n, c, h, w), and classes (n,), as tensors or arrays; the name of
            another data set; the path of an .npz file or a folder, as `--data` takes it; the suite's own if None.
        checkpoint: weights for the card.
        data_root: where the files of data sets are.
        out: a ledger folder, to keep results and to go on where a run stopped; nothing is kept if None.
        device: "auto", "cpu" or "cuda".
        microbatch: batch shape in rows; probed and recorded if None.
        limit: only the first so many samples.
        seed: of every random draw.
        source: the model whose gradients the attacks see, if it is not the attacked one itself (transfer).
        sample: only these samples: "START:STOP", or "stratified:N:SEED"; each keeps its random draws.

    Raises:
        UserError: something given cannot be used; everything found wrong is named, and nothing has run.
    """
    with torch.inference_mode(False):  # there would be no gradients for the attacks
        job = prepare(model, suite, data, checkpoint, data_root, device, microbatch, limit, seed, source, sample)
        if out is not None:
            return run(job, Path(out))
        with tempfile.TemporaryDirectory(prefix="robeval-") as folder:
            found = run(job, Path(folder))
            return Evaluation(found.table, found.samples, found.failed, None)


def prepare(
    model: Model | Sequence[Model] | Mapping[str, Model],
    suite: str | Path | Suite,
    data: Data | str | Path | None = None,
    checkpoint: str | Path | None = None,
    data_root: str | Path | None = None,
    device: str = "auto",
    microbatch: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    source: Model | None = None,
    sample: str | None = None,
    on_fetch: Listen | None = None,
) -> Job:
    """Read and check everything that a run needs; arguments as in `evaluate`.

    Args:
        on_fetch: told how much has come of weights that are fetched.
    """
    asked = _named(model)
    weights = None if checkpoint is None else Path(checkpoint)
    problems = Problems(_wrong_options(asked, checkpoint, microbatch, limit))
    chosen: torch.device = problems.attempt(choose_device, device)
    about: Suite | None = problems.attempt(_suite, suite, problems)
    known: list[ModelCard | nn.Module | None] = [problems.attempt(_card, each, weights, on_fetch) for _, each in asked]
    samples: Samples | None = problems.attempt(_samples, about, data, data_root, sample)
    models: list[LoadedModel] = [
        problems.attempt(_loaded, name, each, about, samples, weights, data)
        for (name, _), each in zip(asked, known, strict=True)
    ]
    given = None if source is None else problems.attempt(_card, source, None, on_fetch)
    seen: LoadedModel | None = problems.attempt(_loaded, "", given, about, samples, None, data)
    raise_together(problems)
    if about is None or samples is None:
        raise AssertionError("what is missing has been reported")
    plan = make_plan(about, models, samples, limit=limit, seed=seed, source=seen)
    notes = [f"{each.id}: {note}" for each in (*models, *([seen] if seen else [])) for note in each.notes]
    notes += [f"{each.model}: {warning}" for each in plan.models for warning in each.warnings]
    return Job(plan, {each.id: each for each in models}, samples, chosen, microbatch, tuple(notes), seen)


def _named(model: Model | Sequence[Model] | Mapping[str, Model]) -> list[tuple[str, Model]]:
    """The models, each with the name the caller gave it, or none; a factory gives its own name."""
    named: list[tuple[str, Any]]
    if isinstance(model, Mapping):
        named = list(model.items())
    elif isinstance(model, Sequence) and not isinstance(model, str):
        named = [("", one) for one in model]
    else:
        named = [("", model)]
    named = [(name or _factory_name(one), one) for name, one in named]
    for _, one in named:
        if not isinstance(one, Model):
            found = f"{type(one).__name__} is no model"
            fix = "Give an nn.Module that holds its own weights, a card, or the name or path of a card."
            raise UserError(found, where="model", fix=fix)
    return named


def _factory_name(model: object) -> str:
    """`factory` of "package.module:factory"; nothing for other models."""
    return model.partition(":")[2] if isinstance(model, str) and factory.is_factory(model) else ""


def _wrong_options(
    asked: Sequence[tuple[str, Model]], checkpoint: object, microbatch: int | None, limit: int | None
) -> list[UserError]:
    problems = []
    if not asked:
        problems.append(UserError("no model is given", where="--model", fix="Name one; `robeval zoo` lists them."))
    for name in [name for name, _ in asked if name and not re.fullmatch(r"[\w.+-]+", name)]:
        found = f"'{name}' cannot name a model"
        problems.append(UserError(found, where="model", fix="Use letters, digits, and any of _ - + and dot."))
    if checkpoint is not None and len(asked) != 1:
        problems.append(UserError("it goes with one model only", where="--checkpoint", fix="Give one --model."))
    if microbatch is not None and microbatch < 1:
        problems.append(UserError(f"{microbatch} is no batch shape", where="--microbatch", fix="Give 1 or more."))
    if limit is not None and limit < 1:
        problems.append(UserError(f"{limit} samples cannot be evaluated", where="--limit", fix="Give 1 or more."))
    return problems


def run(
    job: Job,
    out: Path,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    on_progress: Callable[[Progress], None] | None = None,
    share: Share | None = None,
) -> Evaluation:
    """Run what the ledger in `out` does not have yet, and write its reports.

    Args:
        share: given what is made on the source for all targets.
    """
    ledger = Ledger(out)
    sources = [job.source] if job.source else []
    about = job.models, job.samples, ledger, job.device, job.microbatch, on_progress, sources
    executor = Local(*about, share=share)
    failed = execute(job.plan, ledger, executor, on_outcome)
    write_reports(ledger)
    table = measure.results(ledger, job.plan.models)
    return Evaluation(table, measure.samples(ledger, job.plan.models), failed, out)


def _suite(suite: str | Path | Suite, problems: Problems) -> Suite:
    """The suite with every parameter filled in; what is wrong with it, in its file and in its attacks, is noted."""
    read, wrong = (suite, []) if isinstance(suite, Suite) else suites.read(str(suite))
    problems += wrong
    complete: Suite | None = problems.attempt(resolved, read)
    return complete or read


def _card(model: Model, checkpoint: Path | None, on_fetch: Listen | None) -> ModelCard | nn.Module:
    """The module, or the card, whose file of weights is there or can be fetched."""
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, str) and factory.is_factory(model):
        return factory.make(model, checkpoint)
    card = model if isinstance(model, ModelCard) else cards.load(str(model))
    obtain(card, checkpoint, on_fetch)
    return card


def _loaded(
    name: str,
    model: ModelCard | nn.Module | None,
    suite: Suite | None,
    samples: Samples | None,
    checkpoint: Path | None,
    data: Data | str | Path | None,
) -> LoadedModel | None:
    """The model with its weights; nothing where what it needs is missing, which has been noted."""
    if model is None or suite is None:
        return None
    if isinstance(model, ModelCard) and suite.dataset not in ("", model.dataset):
        found = f"it is for {model.dataset}, but the suite '{suite.id}' is about {suite.dataset}"
        fix = f"Choose a suite about {model.dataset}, or another model."
        raise UserError(found, where=f"model '{model.id}'", fix=fix)
    if samples is None:
        return None
    if isinstance(model, ModelCard):
        images = "" if data is None else f"--data {data}" if isinstance(data, str | Path) else "data"
        loaded = load_model(model, samples.shape, samples.num_classes, checkpoint, images)
        return replace(loaded, id=name or loaded.id)
    return wrap(model, name or type(model).__name__, samples.num_classes)


def _samples(
    suite: Suite | None, data: Data | str | Path | None, data_root: str | Path | None, sample: str | None
) -> Samples | None:
    if suite is None or not suite.dataset:
        return None  # what is wrong with the suite is known already
    roots = datasets.data_roots(None if data_root is None else Path(data_root))
    if data is None:
        found = datasets.load(suite.dataset, suite.split, roots, where=suite.where or "suite")
    elif isinstance(data, str | Path):
        found = own.load(str(data), suite.dataset, suite.split, roots)
    else:
        found = datasets.given(suite.dataset, own.split_of("arrays"), *own.arrays(data))
    return choose(found, sample) if sample else found
