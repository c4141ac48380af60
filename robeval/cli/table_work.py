"""What a published table needs computed: models to train, suites to run."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from robeval import api, shelf
from robeval.cli.session import run_shown
from robeval.cli.table_options import Options
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.run import estimate
from robeval.run.bench import choose_device
from robeval.run.plan import pending, resolved
from robeval.suites import load as suites
from robeval.train import recipe as recipes
from robeval.train.loop import train
from robeval.values.card import ModelCard
from robeval.values.paper import Ask, PaperTable
from robeval.values.suite import Suite
from robeval.zoo import cards, checkpoints
from robeval.zoo.archs.registry import build


class Models:
    """The models that a table names: from the shelf, or trained here, into the ledger folder."""

    def __init__(self, table: PaperTable, out: Path) -> None:
        self._recipes = table.recipes
        self._trained = out / "trained"
        self._known = shelf.names(shelf.CARDS)

    def card(self, name: str) -> ModelCard:
        """The model's card; that of one trained here says how, and where it was trained has its weights.

        Raises:
            UserError: there is none.
        """
        if name in self._known:
            return cards.load(name, "table")
        if name not in self._recipes:
            fix = f"With weights of your own, add zoo/cards/{name}.toml."
            raise UserError(f"there is no card '{name}'", where="table", fix=fix)
        recipe = self._recipes[name]
        like = cards.load(recipe.like, "table")
        wanted = dict(like.training) | dict(recipe.training)
        path = self._trained / "cards" / f"{name}.toml"
        if path.is_file() and (made := cards.load(str(path))).training == wanted:
            return made
        title = f"{like.title}; in miniature, for tables"
        return replace(like, id=name, title=title, training=wanted, checkpoint=None, published=(), where="")

    def is_due(self, name: str) -> bool:
        """Whether it has to be trained first.

        Raises:
            UserError: it is not here and cannot be trained here.
        """
        card = self.card(name)
        if name not in self._recipes or name in self._known:
            checkpoints.locate(card, None)
            return False
        samples = datasets.load(card.dataset, "train")
        recipes.read(replace(card, where=f"table: model '{name}'"), len(samples))
        return card.checkpoint is None or not (self._trained / "checkpoints" / card.checkpoint.file).is_file()

    def train(self, name: str, device: torch.device) -> Path:
        """Train it; the path of its card."""
        card = self.card(name)
        return train(card, datasets.load(card.dataset, "train"), self._trained, device, lambda _: None)

    def seconds(self, name: str, device: torch.device) -> float:
        """A guess of how long training takes."""
        card = self.card(name)
        samples = datasets.load(card.dataset, "train")
        net = build(card.network.arch, card.network.params, samples.shape, samples.num_classes, name)
        steps, epochs = (card.training.get(key, 0) for key in ("steps", "epochs"))
        one = estimate.seconds_per_pass(net, samples.shape, device)
        return float((2 + int(steps)) * int(epochs) * len(samples) * one)

    def given(self, name: str) -> str:
        """What to call it by: a name of the shelf, or a path."""
        return name if name in self._known else self.card(name).where


def work(table: PaperTable, options: Options, console: Console) -> int:
    """Train and run what the table wants and can have; the number of cells that failed. Says what it cannot have."""
    asks = [ask for ask in table.asks(options.scale) if not ask.finding]
    models, device = Models(table, options.out), choose_device(options.device)
    due, lost = _sorted_out(models, asks)
    asks = [ask for ask in asks if ask.model not in lost and ask.source not in lost]
    for line in lost.values():
        _say(console, f"left out: {line}")
    if due:
        seconds = sum(models.seconds(name, device) for name in due)
        _say(console, f"to train on {device}, about {estimate.in_words(seconds)}: {', '.join(due)}")
    for place, name in enumerate(due, 1):
        _say(console, f"training {place}/{len(due)}: {name}")
        try:
            models.train(name, device)
        except UserError as error:
            _say(console, f"left out: {in_one_line(error)}")
            asks = [ask for ask in asks if name not in (ask.model, ask.source)]
    jobs = _jobs(table, models, asks, options, console)
    ledger = Ledger(options.out)
    _say(console, _cost(jobs, ledger, device))
    return sum(run_shown(console, job, options.out).failed for job in jobs)


def _sorted_out(models: Models, asks: Iterable[Ask]) -> tuple[list[str], dict[str, str]]:
    """The models to train, and why others cannot be had, by their names."""
    due, lost = [], {}
    for name in dict.fromkeys(name for ask in asks for name in (ask.model, ask.source) if name):
        try:
            if models.is_due(name):
                due.append(name)
        except UserError as error:
            lost[name] = in_one_line(error)
    return due, lost


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


def _cost(jobs: Iterable[api.Job], ledger: Ledger, device: torch.device) -> str:
    """What is to be run, and about how long that takes."""
    count, seconds = 0, 0.0
    for job in jobs:
        speed: Mapping[str, float] = {
            name: estimate.seconds_per_pass(model.module, job.samples.shape, device)
            for name, model in job.models.items()
        }
        for cell in (cell for task in pending(job.plan, ledger) for cell in task.cells):
            rows = cell.slice.stop - cell.slice.start
            count += 1
            seconds += estimate.passes([cell.attack]) * rows * speed[cell.model]
    if not count:
        return "nothing to run: everything that can be measured is in the ledger"
    return f"{count} cells to run on {device}, at most about {estimate.in_words(seconds)}"


def in_one_line(error: UserError) -> str:
    """What is wrong, and what to do, without lists of what is known."""
    told = [
        f"{each.where}: {each.what}. {'' if 'Known:' in each.fix else each.fix}" for each in error.parts or (error,)
    ]
    return " ".join("; ".join(told).split())


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
