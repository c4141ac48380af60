"""Fitting weights into a network."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from robeval.errors import UserError
from robeval.zoo.carried import core
from robeval.zoo.variables import renamed

# Built and saved by the first release of TRADES' WideResNet and never used in its forward pass.
UNUSED = ("sub_block1.",)
# How many names of a list an error shows.
SHOWN = 3


def fit(state: Mapping[str, Tensor], module: nn.Module, where: object) -> tuple[str, ...]:
    """Load the weights into the module: every name, every shape; what was left out is said in the notes.

    Only this may differ: the unused `sub_block1` of TRADES' WideResNet is dropped, and so are the numbers of an
    input layer and the copy of the network in an attacker (`carried.py`); `num_batches_tracked`, which files older
    than torch 0.4.1 lack, may be missing; a TensorFlow checkpoint has names of its own and an optimiser's memory
    (`variables.py`), which is dropped.

    Raises:
        UserError: names or shapes do not match; lists the first of each.
    """
    wanted: dict[str, Tensor] = module.state_dict()
    state, memory = renamed(state, module)
    if problems := misfits(state, module):
        found = f"the weights do not fit the network: {'; '.join(problems)}"
        raise UserError(
            found, where=where, fix="Mend [network] in the model's card, or give the file that belongs to it."
        )
    kept = _own(state, wanted)
    module.load_state_dict(_counters(wanted) | kept)
    return tuple(_notes(state, kept, wanted, memory))


def misfits(state: Mapping[str, Tensor], module: nn.Module) -> list[str]:
    """Why the weights cannot be loaded into the module; nothing if they can."""
    state, _ = renamed(state, module)
    wanted: dict[str, Tensor] = module.state_dict()
    return _differences(_counters(wanted) | _own(state, wanted), wanted)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many there are behind them."""
    more = len(names) - SHOWN
    return (", ".join(names[:SHOWN]) or "nothing") + (f" and {more} more" if more > 0 else "")


def _own(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a file is the network's: all that it uses, or, if that are other names, what is in its core."""

    def used(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in tensors.items() if name in wanted or not name.startswith(UNUSED)}

    inner = used(core(state))
    return inner if (_counters(wanted) | inner).keys() == wanted.keys() else used(state)


def _counters(wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}


def _differences(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """What is missing, what is too much, and which shapes or kinds of number differ."""
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    misfits = [
        f"{name} (found {_described(state[name])}, expected {_described(tensor)})"
        for name, tensor in wanted.items()
        if name in state and _described(state[name]) != _described(tensor)
    ]
    parts = {"missing": missing, "unexpected": unexpected, "different": misfits}
    return [f"{len(names)} {word}: {listed(names)}" for word, names in parts.items() if names]


def _described(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else "complex numbers " if tensor.is_complex() else "whole numbers "
    return kind + ("x".join(map(str, tensor.shape)) or "one number")


def _notes(
    state: Mapping[str, Tensor], kept: Mapping[str, Tensor], wanted: Mapping[str, Tensor], memory: Sequence[str]
) -> list[str]:
    unused = sum(name.startswith(UNUSED) for name in core(state)) if len(state) > len(kept) else 0
    notes = [f"dropped {unused} tensors that the network does not use: sub_block1.*"] if unused else []
    if around := len(state) - len(kept) - unused:
        notes.append(f"left out {around} tensors around the network: an input layer's numbers, an attacker's copy")
    if memory:
        notes.append(f"dropped {len(memory)} tensors of the optimiser: {listed(memory)}")
    changed = {str(kept[name].dtype) for name in kept if kept[name].dtype != wanted[name].dtype}
    if changed:
        stored = ", ".join(sorted(each.removeprefix("torch.") for each in changed))
        notes.append(f"some weights are stored as {stored}; they are used as float32")
    return notes
