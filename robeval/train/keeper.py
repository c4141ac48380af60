"""A training on disk: one file, whole or absent, from which the same recipe goes on."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save

from robeval.datasets.registry import Samples
from robeval.errors import UserError
from robeval.train.recipe import Recipe
from robeval.train.state import State
from robeval.values.card import ModelCard
from robeval.whole import write_whole

_HEADER = "robeval"
_AGAIN = "Give another folder with --out, or begin anew with --restart."
_SHARE = 0.05  # of the time goes into saving, at most


class Keeper:
    """Saves a state every now and then, and reads it back.

    The file is safetensors: tensors, and one JSON text about all else. Nothing in it is ever executed.

    Args:
        identity: all that decides which weights the training ends in; a file with another one is refused.
        pause: seconds from one saving to the next, at least; more where saving takes long. 0 saves after every batch.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], pause: float) -> None:
        self.path, self._identity, self._pause = path, {key: _plain(each) for key, each in identity.items()}, pause
        self._next = time.monotonic() + pause

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() >= self._next

    def save(self, state: State) -> None:
        """Replace the file.

        Raises:
            UserError: it cannot be written; the file of before is as it was.
        """
        start = time.monotonic()
        header = {_HEADER: json.dumps({"recipe": self._identity, "state": state.facts()})}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
        write_whole(self.path, save(tensors, header))
        end = time.monotonic()
        self._next = end + (max(self._pause, (end - start) / _SHARE) if self._pause else 0.0)

    def restore(self, state: State) -> bool:
        """Take the state up again from the file; False if there is none.

        Raises:
            UserError: the file is of another recipe, or cannot be read.
        """
        if not self.path.is_file():
            return False
        try:
            with safetensors.safe_open(self.path, "pt") as file:
                header = json.loads(file.metadata()[_HEADER])
                recipe, facts = header["recipe"], header["state"]
                if recipe != self._identity:
                    raise UserError(_different(recipe, self._identity), where=self.path, fix=_AGAIN)
                names = file.keys()
                state.restore({name: file.get_tensor(name).clone() for name in names}, facts)
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"this is no training that can go on: {reason}", where=self.path, fix=_AGAIN) from None
        return True

    def remove(self) -> None:
        """The training is over, or begins anew."""
        self.path.unlink(missing_ok=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()


def identity(card: ModelCard, recipe: Recipe, samples: Samples, device: str) -> dict[str, Any]:
    """All that decides which weights a training ends in, by the names that cards use."""
    network = {f"network.{key}": value for key, value in {"arch": card.network.arch, **card.network.params}.items()}
    own = {"method": recipe.method.name, **recipe.params, **asdict(recipe.settings)}
    if device == "cpu":
        own["threads"] = recipe.settings.threads or torch.get_num_threads()  # another number rounds differently
    data = {"dataset": card.dataset, "images": len(samples), "content": samples.content}
    return (
        data | network | {f"input.{key}": value for key, value in asdict(card.input).items()} | own | {"device": device}
    )


def _plain(value: object) -> object:
    """As JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(value))


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, line by line."""
    lines = ["it was begun with another recipe; - is what it was begun with, + is what is wanted now:"]
    for key in dict.fromkeys([*before, *now]):
        if before.get(key) != now.get(key) or (key in before) != (key in now):
            lines += [f"    - {key} = {before[key]!r}"] if key in before else []
            lines += [f"    + {key} = {now[key]!r}"] if key in now else []
    return "\n".join(lines)
