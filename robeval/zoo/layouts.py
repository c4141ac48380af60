"""How files of weights are laid out, and fitting them into a network."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robeval.errors import UserError
from robeval.values.card import Input

# Where training scripts put the weights, the commonest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
# What wrappers of networks write before every name.
PREFIXES = ("module.", "model.", "_orig_mod.")
# The robustness library saves its attacker, and with it the whole network a second time, and an input layer.
ATTACKER = "attacker."
NORMALISER = ("normalizer.new_mean", "normalizer.new_std")
# Built and saved by the first release of TRADES' WideResNet and never used in its forward pass.
UNUSED = ("sub_block1.",)
# How many wrappers may lie around each other.
DEEPEST = 4
# How many names of a list an error shows.
SHOWN = 3


def state_dict(loaded: object, where: object) -> dict[str, Tensor]:
    """The weights by name, out of whatever a training script has wrapped them in.

    The prefixes `module.`, `model.` and `_orig_mod.` go if every name has them. Of a file of the robustness library,
    the network's second copy goes, and the mean and deviation of its input layer stay, under `NORMALISER`.

    Raises:
        UserError: there are no weights in it, those of several networks, or a second copy that differs.
    """
    weights = _once(_bare(_unwrap(loaded, where)), where)
    inputs = {name: weights[name] for name in NORMALISER if normaliser(weights)}
    return _bare({name: tensor for name, tensor in weights.items() if name not in inputs}) | inputs


def normaliser(state: Mapping[str, Tensor]) -> Input | None:
    """The input layer that came with the weights, if one did."""
    if not all(name in state for name in NORMALISER):
        return None
    mean, std = (tuple(round(float(each), 6) for each in state[name].flatten()) for name in NORMALISER)
    return Input("fixed", mean, std)


def fit(state: Mapping[str, Tensor], module: nn.Module, where: object, given: Input | None = None) -> tuple[str, ...]:
    """Load the weights into the module: every name, every shape; what was left out is said in the notes.

    Only three things may differ: the unused `sub_block1` of TRADES' WideResNet is dropped; `num_batches_tracked`,
    which files older than torch 0.4.1 lack, may be missing; and an input layer that came with the weights is dropped,
    if it is the one that the card gives anyway.

    Args:
        given: the input layer in front of the module; None where the module is the user's own.

    Raises:
        UserError: names or shapes do not match, of which it lists the first, or the input layers do not.
    """
    wanted: dict[str, Tensor] = module.state_dict()
    dropped = [name for name in state if name not in wanted and name.startswith(UNUSED)]
    inputs = None if wanted.keys() & set(NORMALISER) else normaliser(state)
    if problems := misfits(state, module):
        found = f"the weights do not fit the network: {'; '.join(problems)}"
        raise UserError(
            found, where=where, fix="Mend [network] in the model's card, or give the file that belongs to it."
        )
    if inputs is not None:
        _refuse_other(inputs, given, where)
    kept = {name: tensor for name, tensor in state.items() if name in wanted}
    module.load_state_dict(_counters(wanted) | kept)
    return tuple(_notes(kept, wanted, dropped))


def misfits(state: Mapping[str, Tensor], module: nn.Module) -> list[str]:
    """Why the weights cannot be loaded into the module; nothing if they can."""
    wanted: dict[str, Tensor] = module.state_dict()
    spare = (*UNUSED, *(NORMALISER if normaliser(state) else ()))
    kept = {name: tensor for name, tensor in state.items() if name in wanted or not name.startswith(spare)}
    return _differences(_counters(wanted) | kept, wanted)


def _bare(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that every name has."""
    while prefix := next((each for each in PREFIXES if all(name.startswith(each) for name in weights)), None):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _once(weights: dict[str, Tensor], where: object) -> dict[str, Tensor]:
    """Without the attacker of the robustness library and its copy of the network, which has to be one."""
    for name, tensor in weights.items():
        first = name.removeprefix(ATTACKER).replace("normalize.", "normalizer.", 1)
        if name.startswith(ATTACKER) and not (first in weights and torch.equal(weights[first], tensor)):
            raise UserError(
                f"this file holds a network twice, and the copies differ: '{name}' is not '{first}'",
                where=where,
                fix="Which one counts is not in the file: save the one you mean as a file of its own.",
            )
    return {name: tensor for name, tensor in weights.items() if not name.startswith(ATTACKER)}


def _refuse_other(inputs: Input, given: Input | None, where: object) -> None:
    """Raise a UserError if the input layer that came with the weights is not the one in front of the module."""
    found = f"the file says that its network takes images with mean {list(inputs.mean)} and std {list(inputs.std)}"
    if given is None:
        raise UserError(
            f"{found}, and the module has no place for them",
            where=where,
            fix="Write a card, whose [input] can have them, or let the module standardise its images with two buffers, "
            "normalizer.new_mean and normalizer.new_std.",
        )
    theirs, ours = (torch.tensor([each.mean, each.std], dtype=torch.float64) for each in (inputs, given))
    if theirs.shape == ours.shape and torch.allclose(theirs, ours, rtol=0, atol=1e-5):
        return
    stated = f"mean {list(given.mean)} and std {list(given.std)}" if given.mean else f'normalise = "{given.normalise}"'
    raise UserError(
        f"{found}, but the card says {stated}",
        where=where,
        fix=f'Write into [input]: normalise = "fixed", mean = {list(inputs.mean)}, std = {list(inputs.std)}.',
    )


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


def _notes(kept: Mapping[str, Tensor], wanted: Mapping[str, Tensor], dropped: Sequence[str]) -> list[str]:
    notes = [f"dropped {len(dropped)} tensors that the network does not use: sub_block1.*"] if dropped else []
    changed = {str(kept[name].dtype) for name in kept if kept[name].dtype != wanted[name].dtype}
    if changed:
        stored = ", ".join(sorted(each.removeprefix("torch.") for each in changed))
        notes.append(f"some weights are stored as {stored}; they are used as float32")
    return notes


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return (", ".join(names[:SHOWN]) or "nothing") + (f" and {more} more" if more > 0 else "")
