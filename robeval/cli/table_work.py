"""Computing what a published table wants: models to train, suites to run, measures to take."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from rich.console import Console

from robeval import api
from robeval.cli import table_cost
from robeval.cli.session import run_shown
from robeval.cli.table_measures import Measures
from robeval.cli.table_models import Models, in_one_line
from robeval.cli.table_options import Options
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.run import estimate
from robeval.run.bench import choose_device
from robeval.run.plan import resolved
from robeval.suites import load as suites
from robeval.values.paper import Ask, PaperTable
from robeval.values.suite import Suite


def work(table: PaperTable, options: Options, console: Console) -> int:
    """Train, run and measure what the table wants and can have; the number of cells that failed.

    Says beforehand what it costs, and what it cannot have. Networks of full size are not trained: what would, and how
    long it takes, is said.
    """
    asks = table.asks(options.scale)
    models, device = Models(table, options.out, options.data_root), choose_device(options.device)
    lost = _train(models, asks, device, console)
    asks = [ask for ask in asks if not {ask.model, ask.source} & lost]
    jobs = _jobs(table, models, (ask for ask in asks if not ask.finding), options, console)
    measures = Measures(asks, models, options, console)
    cells, seconds = table_cost.of_runs(jobs, Ledger(options.out), device)
    questions, more = measures.cost(device)
    _say(console, _told(cells, questions, seconds + more, device))
    return sum(run_shown(console, job, options.out).failed for job in jobs) + measures.run()


def _train(models: Models, asks: Iterable[Ask], device: torch.device, console: Console) -> set[str]:
    """Train what is missing and small; the names of the models that cannot be had."""
    due, lost = [], set()
    for name in dict.fromkeys(name for ask in asks for name in (ask.model, ask.source) if name):
        if models.is_large(name):
            lost.add(name)
            _say(console, _offer(models, name, device))
            continue
        try:
            due += [name] if models.is_due(name) else []
        except UserError as error:
            lost.add(name)
            _say(console, f"left out: {in_one_line(error)}")
    if due:
        seconds = sum(models.seconds(name, device) for name in due)
        _say(console, f"to train on {device}, about {estimate.in_words(seconds)}: {', '.join(due)}")
    for place, name in enumerate(due, 1):
        _say(console, f"training {place}/{len(due)}: {name}")
        try:
            models.train(name, device)
        except UserError as error:
            lost.add(name)
            _say(console, f"left out: {in_one_line(error)}")
    return lost


def _offer(models: Models, name: str, device: torch.device) -> str:
    """What trains a network of full size, and about how long that takes."""
    command = models.command(name)
    try:
        cost = f"in about {estimate.in_words(models.seconds(name, device))} on {device}"
    except UserError as error:
        cost = f"once there is what it needs: {in_one_line(error)}"
    return f"not trained here: {name}; `{command}` does it, {cost}"


def _jobs(table: PaperTable, models: Models, asks: Iterable[Ask], options: Options, console: Console) -> list[api.Job]:
    """One run for each suite and source."""
    groups: dict[tuple[str, str], list[Ask]] = {}
    for ask in asks:
        groups.setdefault((ask.suite, ask.source), []).append(ask)
    jobs = []
    for (name, source), wanted in groups.items():
        named = {ask.model: models.given(ask.model) for ask in wanted}
        try:
            suite = _needed(suites.load(name, table.id), wanted, Ledger(options.out))
            about = None, None, options.data_root, options.device, options.microbatch, options.limit, options.seed
            jobs.append(api.prepare(named, suite, *about, models.given(source) if source else None))
        except UserError as error:
            _say(console, f"left out: {in_one_line(error)}")
    return jobs


def _needed(suite: Suite, wanted: Iterable[Ask], ledger: Ledger) -> Suite:
    """The suite with the attacks that are asked for, and those that the ledger has of it, whose rows must not go."""
    asks = list(wanted)
    group, names = asks[0].group, {ask.model for ask in asks}
    keep = {ask.attack for ask in asks} | {"clean"}
    keep |= {row.id for plan in ledger.plans() if plan.group == group and plan.model in names for row in plan.rows}
    chains = tuple(chain for chain in suite.chains if chain.id in keep)
    for name in sorted({ask.attack for ask in asks} - {chain.id for chain in chains}):
        raise UserError(f"it has no attack '{name}'", where=suite.where, fix="Mend the suite, or the table.")
    return resolved(replace(suite, chains=chains))


def _told(cells: int, questions: int, seconds: float, device: torch.device) -> str:
    """What is to be computed, and about how long that takes."""
    if not cells and not questions:
        return "nothing to run: all that can be measured with what is here is in the ledger"
    parts = [f"{cells} cells to run"] if cells else []
    parts += [f"{questions} measures to take"] if questions else []
    return f"{' and '.join(parts)} on {device}, about {estimate.in_words(seconds)}"


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
