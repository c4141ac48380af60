"""From the name of a kind of picture to what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robeval import api, measuring
from robeval.errors import Problems, UserError, raise_together
from robeval.ledger.store import Ledger
from robeval.pictures.content import Content
from robeval.pictures.records import Records, Wanted
from robeval.pictures.registry import Entry, find, resolved
from robeval.pictures.sight import Sight
from robeval.suites import load as suites
from robeval.values.attack import AttackSpec
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel


@dataclass(frozen=True, slots=True)
class Request(Wanted):
    """What is to be shown, of what and how; each kind takes some of these.

    Attributes:
        sample: which images, for kinds that are not about a ledger; those of the kind if None.
    """

    data: str | None = None
    sample: str | None = None
    checkpoint: Path | None = None
    data_root: Path | None = None
    device: str = "auto"
    microbatch: int | None = None


def content(name: str, params: Mapping[str, Any], asked: Request, out: Path) -> tuple[Content, tuple[str, ...]]:
    """What the picture shows, and what a reader should know of the models.

    Args:
        name: of the kind.
        params: its keywords.
        out: the ledger folder: the rows of the picture, or the batch shape that models are run in.

    Raises:
        UserError: something given cannot be used, or the ledger has no such rows.
    """
    entry = find(name)
    keywords = resolved(entry, params)
    ledger = Ledger(out)
    if entry.about == "ledger":
        shown: Content = entry.function(Records(ledger, asked), **keywords)
        return shown, tuple(ledger.notes())
    sight = _sight(entry, keywords, asked, ledger)
    shown = entry.function(sight, **keywords)
    return shown, sight.notes


def _sight(entry: Entry, params: Mapping[str, Any], asked: Request, ledger: Ledger) -> Sight:
    """Every model by itself, as its adversarial images are made alone."""
    suite = suites.load(asked.suite or "") if entry.about == "suite" else _unattacked(entry, params, asked)
    problems = Problems()
    if len(set(asked.models)) < len(asked.models):
        problems.append(UserError("a model is named twice", where="--model", fix="Name each model once."))
    jobs = [
        problems.attempt(
            api.prepare, [model], suite, asked.data, asked.checkpoint if len(asked.models) == 1 else None,
            asked.data_root, asked.device, asked.microbatch, None, asked.seed or 0, None, asked.sample or entry.sample,
        )
        for model in asked.models
    ]  # fmt: skip
    if asked.checkpoint and len(asked.models) > 1:
        problems.append(UserError("it goes with one model only", where="--checkpoint", fix="Give one --model."))
    raise_together(problems)
    return Sight(jobs, ledger, suite)


def _unattacked(entry: Entry, params: Mapping[str, Any], asked: Request) -> Suite:
    """The checks of a model that is attacked are those of one that is shown, so it is planned as an attack."""
    threat = ThreatModel(params.get("norm", "linf"), params.get("eps") or 0.0)
    spec = AttackSpec(entry.name, "fgsm", threat)
    dataset = asked.dataset or measuring.dataset_of(list(asked.models), f"picture '{entry.name}'")
    chains = (Chain(entry.name, (spec,)),)
    return Suite(
        entry.name, entry.name, dataset, asked.split or "test", threat, chains, where=f"picture '{entry.name}'"
    )
