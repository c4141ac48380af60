"""Where a training stands between two batches: all that the next batch and the files at the end depend on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from robeval.train.log import Epoch

Weights = dict[str, Tensor]


@dataclass(slots=True)
class State:
    """Changes with every batch.

    Attributes:
        network: without its input layer, which has nothing to learn.
        epoch, batch: the epoch that is going on, counted from 1, and how many of its batches are learnt from.
        order: of this epoch, indices of training images, int64.
        tally: sums over this epoch so far, float64 (5,): loss; clean images seen, and right; changed ones, and right.
        seconds: spent on this epoch so far.
        memory: what the method keeps from batch to batch.
        average: the averaged weights, if there is an average.
        good: weights at the end of the last epoch that was finite; empty before.
        best: weights of the best epoch, if images are held out.
        best_epoch: its number.
        epochs: those that are over.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    device: torch.device
    epoch: int = 1
    batch: int = 0
    order: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    tally: Tensor = field(default_factory=lambda: torch.zeros(5, dtype=torch.float64))
    seconds: float = 0.0
    memory: dict[str, Tensor] = field(default_factory=dict)
    average: Weights = field(default_factory=dict)
    good: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    best_epoch: int = 0
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def final(self) -> Weights:
        """The weights as they would be kept now: the averaged ones if there is an average."""
        return self.average or self.network.state_dict()

    @property
    def finite(self) -> bool:
        """Whether the losses of this epoch and all weights are numbers."""
        return all(bool(each.isfinite().all()) for each in (self.tally[0], *self.network.parameters()))

    def begin_epoch(self, order: Tensor) -> None:
        """Take the training images in this order, from the first."""
        self.order, self.seconds = order, 0.0
        self.tally = torch.zeros(5, dtype=torch.float64, device=self.device)

    def end_epoch(self, epoch: Epoch, keep_best: bool) -> None:
        """Note what it came to, and its weights if they are the best so far."""
        self.good = clone(self.final)
        if keep_best and all(epoch.score > before.score for before in self.epochs):
            self.best, self.best_epoch = clone(self.good), epoch.number
        self.epochs.append(epoch)
        self.epoch, self.batch = self.epoch + 1, 0

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, those of torch's random state among them."""
        found = {"order": self.order, "tally": self.tally, "random.cpu": torch.default_generator.get_state()}
        if self.device.type == "cuda":
            found["random.cuda"] = torch.cuda.get_rng_state(self.device)
        for group, tensors in self._groups().items():
            found |= {f"{group}.{name}": tensor for name, tensor in tensors.items()}
        return found

    def facts(self) -> dict[str, Any]:
        """All that is no tensor, as JSON has it."""
        plain = {name: getattr(self, name) for name in ("epoch", "batch", "seconds", "best_epoch")}
        return plain | {"epochs": [asdict(epoch) for epoch in self.epochs]}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Stand where a state stood whose `tensors` and `facts` these are; torch's random state too."""

        def group(name: str) -> dict[str, Tensor]:
            found = {key: each for key, each in tensors.items() if key.startswith(f"{name}.")}
            return {key.removeprefix(f"{name}."): each.to(self.device) for key, each in found.items()}

        self.network.load_state_dict(group("network"))
        self._restore_optimiser({key: each for key, each in tensors.items() if key.startswith("optimiser.")})
        self.memory, self.average = group("memory"), group("average")
        self.good, self.best = group("good"), group("best")
        self.order, self.tally = tensors["order"], tensors["tally"].to(self.device)
        self.epoch, self.batch, self.seconds = facts["epoch"], facts["batch"], facts["seconds"]
        self.best_epoch, self.epochs = facts["best_epoch"], [Epoch(**each) for each in facts["epochs"]]
        torch.default_generator.set_state(tensors["random.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)

    def _groups(self) -> dict[str, Weights]:
        moments = {
            f"{place}.{name}": tensor
            for place, kept in self.optimiser.state_dict()["state"].items()
            for name, tensor in kept.items()
            if isinstance(tensor, Tensor)
        }
        return {
            "network": self.network.state_dict(),
            "optimiser": moments,
            "memory": self.memory,
            "average": self.average,
            "good": self.good,
            "best": self.best,
        }

    def _restore_optimiser(self, tensors: Mapping[str, Tensor]) -> None:
        kept: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            _, place, name = key.split(".", 2)
            kept.setdefault(int(place), {})[name] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": kept, "param_groups": groups})


def clone(weights: Weights) -> Weights:
    """The weights, which then no longer change."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def follow(average: Weights, weights: Weights, share: float) -> None:
    """Move the average on: `share` of itself and the rest of the weights. What is no float is taken over."""
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - share)
        else:
            average[name].copy_(tensor)
