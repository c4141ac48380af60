"""What a file holds around a network: the numbers of its input layer, and an attacker's copy of the network."""

from collections.abc import Mapping

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.values.card import Input

# What wrappers of networks write before every name.
PREFIXES = ("module.", "model.", "_orig_mod.")
# The mean and the standard deviation of an input layer: RobustBench's two ways, its ImageNet models', and the
# robustness library's (Engstrom et al., 2019).
NUMBERS = (
    ("mean", "std"),
    ("mu", "sigma"),
    ("normalize.mean", "normalize.std"),
    ("normalizer.new_mean", "normalizer.new_std"),
)
# The robustness library saves its attacker too, which holds the same network and the same input layer.
COPY = "attacker."
COPIED = {"attacker.model.": "model.", "attacker.normalize.": "normalizer."}
CHANNELS = 16  # a card states one number for each
CLOSE = 2e-6  # between a card's number and the same one in float32


def strip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, without the prefixes that every name has."""
    found = dict(state)
    while prefix := next((each for each in PREFIXES if all(name.startswith(each) for name in found)), None):
        if not found:
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def core(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network alone, named as if nothing had been around it."""
    around = {name for pair in NUMBERS for name in pair}
    own = {name: tensor for name, tensor in state.items() if name not in around and not name.startswith(COPY)}
    return strip(own)


def check_input(state: Mapping[str, Tensor], wanted: Input, path: object, where: str) -> None:
    """Refuse a file that was saved with another input layer than the card's, or with two networks.

    Raises:
        UserError: says how they differ.
    """
    for name, twin in _copies(state):
        if twin not in state or not torch.equal(state[twin], state[name]):
            found = f"it holds two networks: {name} is not the same as {twin}"
            raise UserError(found, where=path, fix="Save the weights of the one you mean as a file of its own.")
    saved = input_layer(state, path)
    if saved is not None and not _same(saved, wanted):
        mean, std = list(saved.mean), list(saved.std)
        raise UserError(
            f"{path} was saved with an input layer that subtracts {mean} and divides by {std}; the card's is another",
            where=f"{where}: [input]",
            fix=f"Write 'normalise = \"fixed\"', 'mean = {mean}' and 'std = {std}', or give the card's own file.",
        )


def _copies(state: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """The names of the attacker's copy, each with that of the original."""
    return [
        (name, original + name.removeprefix(copy))
        for name in state
        for copy, original in COPIED.items()
        if name.startswith(copy)
    ]


def numbers(state: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """What the mean and the standard deviation of an input layer are called in the file; None if it holds none."""
    return next(((mean, std) for mean, std in NUMBERS if mean in state and std in state), None)


def input_layer(state: Mapping[str, Tensor], where: object) -> Input | None:
    """The input layer whose numbers the file holds; None if it holds none.

    Raises:
        UserError: they are more than one for each channel; `where` is the file.
    """
    names = numbers(state)
    return Input("fixed", *(_numbers(state[name], name, where) for name in names)) if names else None


def _numbers(tensor: Tensor, name: str, where: object) -> tuple[float, ...]:
    if tensor.numel() > CHANNELS:
        found = f"its input layer has {tensor.numel()} numbers in '{name}', expected one for each channel"
        raise UserError(found, where=where, fix="Give the network and its input layer with `--model module:factory`.")
    return tuple(round(number, 6) for number in tensor.flatten().tolist())


def _same(saved: Input, wanted: Input) -> bool:
    if wanted.normalise != "fixed" or len(saved.mean) != len(wanted.mean):
        return False
    pairs = zip(saved.mean + saved.std, wanted.mean + wanted.std, strict=True)
    return all(abs(a - b) < CLOSE for a, b in pairs)
