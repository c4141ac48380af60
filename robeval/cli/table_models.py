"""The models that a published table names."""

from dataclasses import replace
from pathlib import Path

import torch

from robeval import shelf
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.run import estimate
from robeval.train import recipe as recipes
from robeval.train.loop import train
from robeval.values.card import ModelCard
from robeval.values.paper import PaperTable
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
        wanted = self._recipes[name].card(name, cards.load(self._recipes[name].like, "table"))
        path = self._trained / "cards" / f"{name}.toml"
        made = cards.load(str(path)) if path.is_file() else wanted
        return made if (made.training, made.network) == (wanted.training, wanted.network) else wanted

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


def in_one_line(error: UserError) -> str:
    """What is wrong, and what to do, without lists of what is known."""
    told = [
        f"{each.where}: {each.what}. {'' if 'Known:' in each.fix else each.fix}" for each in error.parts or (error,)
    ]
    return " ".join("; ".join(told).split())
