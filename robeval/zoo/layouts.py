"""How files of weights are laid out, and fitting them into a network."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from robeval.errors import UserError
from robeval.zoo.carried import core, strip
from robeval.zoo.variables import renamed

# Where training scripts put the weights, the commonest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
# Built and saved by the first release of TRADES' WideResNet and never used in its forward pass.
UNUSED = ("sub_block1.",)
# How many wrappers may lie around each other.
DEEPEST = 4
# How many names of a list an error shows.
SHOWN = 3


def state_dict(loaded: object, where: object) -> dict[str, Tensor]:
    """The weights by name, out of whatever a training script has wrapped them in.

    The prefixes `module.` and `model.` go if every name has them.

    Raises:
        UserError: there are no weights in it, or those of several networks.
    """
    return strip(_unwrap(loaded, where))


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


def _own(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a file is the network's: all that it uses, or, if that are other names, what is in its core."""

    def used(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in tensors.items() if name in wanted or not name.startswith(UNUSED)}

    inner = used(core(state))
    return inner if (_counters(wanted) | inner).keys() == wanted.keys() else used(state)


def _counters(wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}


def _unwrap(loaded: object, where: object, depth: int = 0) -> dict[str, Tensor]:
    if depth > DEEPEST:
        raise _no_weights(f"it holds more than {DEEPEST} wrappers around each other", where)
    if isinstance(loaded, list | tuple):
        return _unwrap(_only_one(loaded, where), where, depth + 1)
    if not isinstance(loaded, Mapping):
        raise _no_weights(f"it holds one {type(loaded).__name__}", where)
    if loaded and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in loaded.items()):
        return dict(loaded)
    for name in WRAPPERS:
        if isinstance(loaded.get(name), Mapping | list | tuple):
            return _unwrap(loaded[name], where, depth + 1)
    if "param_groups" in loaded:
        raise _no_weights("it is the state of an optimiser", where)
    raise _no_weights(f"it holds {_listed([str(name) for name in loaded])}", where)


def _only_one(loaded: Sequence[Any], where: object) -> Any:
    if len(loaded) == 1:
        return loaded[0]
    if loaded and all(isinstance(each, Mapping) for each in loaded):
        raise UserError(
            f"this file holds a list of {len(loaded)} networks, and robeval evaluates one",
            where=where,
            fix="Which one counts, or how they vote, is not in the file: save the one you mean as a file of its own.",
        )
    raise _no_weights(f"it holds a list of {len(loaded)}", where)


def _no_weights(found: str, where: object) -> UserError:
    wanted = f"a state_dict, plain or under one of: {', '.join(WRAPPERS)}"
    return UserError(
        f"there are no weights of a network in this file: {found}; expected {wanted}",
        where=where,
        fix="Save them where the model was made, with `torch.save(model.state_dict(), FILE)`, and give that file.",
    )


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
    return [f"{len(names)} {word}: {_listed(names)}" for word, names in parts.items() if names]


def _described(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else "whole numbers "
    return kind + ("x".join(map(str, tensor.shape)) or "one number")


def _notes(
    state: Mapping[str, Tensor], kept: Mapping[str, Tensor], wanted: Mapping[str, Tensor], memory: Sequence[str]
) -> list[str]:
    unused = sum(name.startswith(UNUSED) for name in core(state)) if len(state) > len(kept) else 0
    notes = [f"dropped {unused} tensors that the network does not use: sub_block1.*"] if unused else []
    if around := len(state) - len(kept) - unused:
        notes.append(f"left out {around} tensors around the network: an input layer's numbers, an attacker's copy")
    if memory:
        notes.append(f"dropped {len(memory)} tensors of the optimiser: {_listed(memory)}")
    changed = {str(kept[name].dtype) for name in kept if kept[name].dtype != wanted[name].dtype}
    if changed:
        stored = ", ".join(sorted(each.removeprefix("torch.") for each in changed))
        notes.append(f"some weights are stored as {stored}; they are used as float32")
    return notes


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return (", ".join(names[:SHOWN]) or "nothing") + (f" and {more} more" if more > 0 else "")
