"""The models that a published table names."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from robeval import shelf
from robeval.datasets import registry as datasets
from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.run import estimate
from robeval.train import recipe as recipes
from robeval.train.loop import train
from robeval.values.card import ModelCard
from robeval.values.digest import digest
from robeval.values.paper import PaperTable
from robeval.zoo import cards, checkpoints
from robeval.zoo import recipes as papers
from robeval.zoo.archs.registry import build


class Models:
    """The models that a table names: from the shelf, or trained, into the ledger folder.

    Those of its miniature are small and are trained on the way. Those of a paper's own recipe (`zoo/papers`) take
    hours or days: they are used where they have been trained, which is for the user to begin.
    """

    def __init__(self, table: PaperTable, out: Path, data_root: Path | None = None) -> None:
        self._small = table.recipes
        self._trained, self._root = out / "trained", data_root
        self._known = shelf.names(shelf.CARDS)
        self._speeds: dict[str, float] = {}

    @cached_property
    def _papers(self) -> Mapping[str, papers.Recipe]:
        return papers.catalog()

    def card(self, name: str) -> ModelCard:
        """The model's card; that of one trained here says how, and where it was trained has its weights.

        Raises:
            UserError: there is none.
        """
        if name in self._known:
            return cards.load(name, "table")
        wanted = self._wanted(name)
        path = self._trained / "cards" / f"{name}.toml"
        made = cards.load(str(path)) if path.is_file() else wanted
        return made if (made.training, made.network) == (wanted.training, wanted.network) else wanted

    def _wanted(self, name: str) -> ModelCard:
        """What it is trained from."""
        if name in self._small:
            return self._small[name].card(name, cards.load(self._small[name].like, "table"))
        if name in self._papers:
            return self._papers[name].card
        fix = f"With weights of your own, add zoo/cards/{name}.toml."
        raise UserError(f"there is no card '{name}'", where="table", fix=fix)

    def is_here(self, name: str) -> bool:
        """Whether it was trained here, by just that recipe."""
        card = self.card(name)
        return card.checkpoint is not None and (self._trained / "checkpoints" / card.checkpoint.file).is_file()

    def is_large(self, name: str) -> bool:
        """Whether it is to be trained first, at full size, which nothing begins by itself."""
        return name not in self._known and name not in self._small and name in self._papers and not self.is_here(name)

    def command(self, name: str) -> str:
        """What trains it, so that tables find it."""
        root = f" --data-root {self._root}" if self._root else ""
        return f"robeval train {name}{root} --out {self._trained}"

    def is_due(self, name: str) -> bool:
        """Whether it has to be trained first, and is small.

        Raises:
            UserError: it is not here and cannot be trained on the way.
        """
        card = self.card(name)
        if name in self._known:
            checkpoints.locate(card, None)
            return False
        if self.is_large(name):
            raise UserError("it is not trained here", where=f"model '{name}'", fix=f"`{self.command(name)}` trains it.")
        if self.is_here(name):
            return False
        recipes.read(replace(card, where=f"table: model '{name}'"), len(self._samples(card)))
        return True

    def train(self, name: str, device: torch.device) -> Path:
        """Train it; the path of its card."""
        card = self.card(name)
        return train(card, self._samples(card), self._trained, device, lambda _: None)

    def seconds(self, name: str, device: torch.device) -> float:
        """A guess of how long training takes.

        Raises:
            UserError: its data are not here, or make no such network.
        """
        card = self.card(name)
        samples = self._samples(card)
        steps, epochs = (card.training.get(key, 0) for key in ("steps", "epochs"))
        return float((2 + int(steps)) * int(epochs) * len(samples) * self._speed(card, samples, device))

    def _speed(self, card: ModelCard, samples: Samples, device: torch.device) -> float:
        """Seconds of a pass; many models have the same network, which is asked once."""
        key = digest([card.network, card.dataset])
        if key not in self._speeds:
            net = build(card.network.arch, card.network.params, samples.shape, samples.num_classes, card.id)
            self._speeds[key] = estimate.seconds_per_pass(net, samples.shape, device)
        return self._speeds[key]

    def _samples(self, card: ModelCard) -> Samples:
        return datasets.load(card.dataset, "train", datasets.data_roots(self._root))

    def given(self, name: str) -> str:
        """What to call it by: a name of the shelf, or a path."""
        return name if name in self._known else self.card(name).where


def in_one_line(error: UserError) -> str:
    """What is wrong, and what to do, without lists of what is known."""
    told = [
        f"{each.where}: {each.what}. {'' if 'Known:' in each.fix else each.fix}" for each in error.parts or (error,)
    ]
    return " ".join("; ".join(told).split())
