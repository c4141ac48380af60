"""The work of `robeval miniature`: each model is trained and attacked in a process of its own, with one thread."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch

from robeval import api
from robeval.cli import miniature_cost
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.reports import measure, papers
from robeval.reports import miniature as miniatures
from robeval.reports.miniature import Miniature
from robeval.reports.miniature_page import Figures, alike, asks, expected, named, outcomes, page
from robeval.run.drive import execute
from robeval.run.local import Local
from robeval.run.plan import pending
from robeval.suites import load as suites
from robeval.train.loop import train, unfinished
from robeval.train.modes import threads
from robeval.values.card import ModelCard
from robeval.values.paper import Ask
from robeval.zoo import cards

ROWS = 128  # of a batch: the same for all, so that nothing is probed while others compute


@dataclass(frozen=True, slots=True)
class Task:
    """One model with one seed: what it is called, and which attacks of which suites it is to withstand."""

    name: str
    seed: int
    folder: Path
    attacks: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task: seconds, or why it could not be finished."""

    task: Task
    seconds: float = 0.0
    failure: str = ""


def tasks(miniature: Miniature, seeds: Sequence[int], out: Path, only: Sequence[str]) -> list[Task]:
    """What there is to do, the longest first; of the models whose name has one of the words `only`, if there are any.

    Raises:
        UserError: a table or a check names a model that the miniature has not.
    """
    wanted: dict[str, dict[str, set[str]]] = {}
    for ask in _wanted(miniature):
        if ask.model not in miniature.recipes:
            found = f"there is no model '{ask.model}' in the miniature"
            raise UserError(found, where="reports/miniature", fix="Add [model.NAME], or mend the table.")
        wanted.setdefault(ask.model, {}).setdefault(ask.suite, set()).add(ask.attack)
    names = [name for name in wanted if not only or any(word in name for word in only)]
    names.sort(key=lambda name: _length(miniature, name), reverse=True)
    return [
        Task(name, seed, out / f"seed{seed}", {key: tuple(sorted(each)) for key, each in wanted[name].items()})
        for name in names
        for seed in seeds
    ]


def _wanted(miniature: Miniature) -> Iterator[Ask]:
    for shown in miniature.tables:
        for row in asks(papers.load(shown.id), shown).values():
            yield from (ask for _, ask in row.values())
            yield from alike(miniature, shown, row)
    for check in miniature.checks:
        yield from (expected(miniature, text) for text in named(miniature, check))


def _length(miniature: Miniature, name: str) -> float:
    """How long its training takes beside those of others, about."""
    training = _card(miniature, name, 0).training
    return float(training["epochs"] * (2 + training.get("steps", 0)))


def _card(miniature: Miniature, name: str, seed: int) -> ModelCard:
    recipe = miniature.recipes[name]
    card = recipe.card(name, cards.load(recipe.like, "miniature"))
    return replace(card, training={**card.training, "seed": seed}) if seed else card


def work(todo: Sequence[Task], workers: int, listen: Callable[[Done], None]) -> int:
    """Do what is not done yet, with one worker in this process; the number of tasks that could not be finished."""
    failed = 0
    for done in map(do, todo) if workers == 1 else _side_by_side(todo, workers):
        failed += bool(done.failure)
        listen(done)
    return failed


def _side_by_side(todo: Sequence[Task], workers: int) -> Iterator[Done]:
    """Each outcome when it is known; on Ctrl-C what is begun is still finished, and no more."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(do, task) for task in todo]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def do(task: Task) -> Done:
    """Train the model, unless the folder has one of the same recipe, and run what its ledger does not have yet."""
    start = time.perf_counter()
    try:
        with threads(1):  # the networks are so small that more would wait for each other
            card = trained(task)
            for suite, attacks in task.attacks.items():
                _attack(task, card, suite, attacks)
    except UserError as error:
        return Done(task, failure=" ".join(str(error).split()))
    return Done(task, time.perf_counter() - start)


def trained(task: Task) -> Path:
    """The card of the trained model."""
    wanted, place = _card(miniatures.load(), task.name, task.seed), task.folder / "trained"
    path = place / "cards" / f"{task.name}.toml"
    if path.is_file():
        made = cards.load(str(path))
        weights = made.checkpoint and (place / "checkpoints" / made.checkpoint.file).is_file()
        if weights and (made.training, made.network) == (wanted.training, wanted.network):
            return path
    if not unfinished(wanted, place):
        miniature_cost.forget(task.folder, task.name)
    samples = datasets.load(wanted.dataset, "train")
    with miniature_cost.counted(task.folder, task.name, "training"):
        return train(wanted, samples, place, torch.device("cpu"), lambda epoch: None)


def _attack(task: Task, card: Path, name: str, attacks: Sequence[str]) -> None:
    suite = suites.load(name, "miniature")
    chains = tuple(chain for chain in suite.chains if chain.id in (*attacks, "clean"))
    asked, first = replace(suite, chains=chains), miniatures.load().first.get(name)
    job = api.prepare({task.name: str(card)}, asked, device="cpu", microbatch=ROWS, limit=first)
    ledger = Ledger(task.folder)
    if not any(pending(job.plan, ledger)):
        for model in job.plan.models:
            ledger.put_plan(model)
        return
    with miniature_cost.counted(task.folder, task.name, "attacks"):
        failed = execute(job.plan, ledger, Local(job.models, job.samples, ledger, job.device, ROWS), lambda _: None)
    if failed:
        found = f"{failed} cells failed; the reasons are in {task.folder / 'failures'}"
        raise UserError(found, where=f"{task.name} under {name}", fix="Mend what they say, and begin again.")


def report(miniature: Miniature, seeds: Sequence[int], out: Path, only: Sequence[str]) -> tuple[str, int]:
    """The page of what the ledgers have, and how many expectations are not met.

    Where `only` some models are asked for, expectations of others need not be measured.
    """
    ledgers = [Ledger(out / f"seed{seed}") for seed in seeds]
    results = [measure.results(each, each.plans()) for each in ledgers]
    figures = Figures(results)
    tables = [(papers.load(shown.id), shown) for shown in miniature.tables]
    text = page(miniature, tables, figures, seeds, miniature_cost.words(results, out, seeds))
    judged = [each for each in outcomes(miniature, figures) if each.values or not only]
    return text, sum(not each.passed for each in judged)
