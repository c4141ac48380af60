"""The weights of a network, out of whatever a training script has wrapped them in."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.zoo.carried import core, strip
from robeval.zoo.layouts import listed

# Where training scripts put the weights, the commonest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
# Where scripts of a known kind put two versions of a network: the one they evaluate, and what they leave aside. Rade &
# Moosavi-Dezfooli (2021) and those after them (Rebuffi et al., 2021; Wang et al., 2023) average weights over training.
AVERAGED = {"model_state_dict": "unaveraged_model_state_dict"}
# How many wrappers may lie around each other.
DEEPEST = 4


class Unwrapped(NamedTuple):
    """Weights by name, and what a reader should know about which they are."""

    weights: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def state_dict(loaded: object, where: object, key: str = "") -> Unwrapped:
    """The weights by name. The prefixes `module.` and `model.` go if every name has them.

    Args:
        key: the name of the entry that holds them, where there are several networks or the name is no usual one.

    Raises:
        UserError: there are no weights in it, or those of several networks.
    """
    weights, notes = _unwrap(loaded, where, key)
    return Unwrapped(strip(weights), notes)


def _unwrap(loaded: object, where: object, key: str, depth: int = 0) -> Unwrapped:
    if depth > DEEPEST:
        raise _no_weights(f"it holds more than {DEEPEST} wrappers around each other", where)
    if isinstance(loaded, list | tuple):
        return _unwrap(_only_one(loaded, where), where, key, depth + 1)
    if not isinstance(loaded, Mapping):
        raise _no_weights(f"it holds one {type(loaded).__name__}", where)
    if key and isinstance(loaded.get(key), Mapping | list | tuple):
        return _unwrap(loaded[key], where, "", depth + 1)
    if _are_weights(loaded):
        if key:
            found = f"it holds {listed(list(loaded))}, and nothing that is called '{key}'"
            raise UserError(found, where=where, fix="Mend 'key' in the card's [checkpoint].")
        return Unwrapped(dict(loaded))
    name, notes = _entry(loaded, where)
    inside = _unwrap(loaded[name], where, key, depth + 1)
    return Unwrapped(inside.weights, notes + inside.notes)


def _entry(loaded: Mapping[Any, Any], where: object) -> tuple[str, tuple[str, ...]]:
    """The name of the entry that holds the weights, and notes on others that were left aside.

    Raises:
        UserError: none does, or there is no telling which.
    """
    held = _networks(loaded)
    name = next((each for each in WRAPPERS if isinstance(loaded.get(each), Mapping | list | tuple)), None)
    if name is None:
        if held:
            one = f"its weights are called '{next(iter(held))}', which is no usual name"
            raise _choose(one if len(held) == 1 else _several(list(held)), list(held), where)
        if "param_groups" in loaded:
            raise _no_weights("it is the state of an optimiser", where)
        raise _no_weights(f"it holds {listed([str(each) for each in loaded])}", where)
    own = held.get(name)
    rivals = [] if own is None else [other for other in held if other != name and _rival(own, held[other], other)]
    if rivals == [AVERAGED.get(name)]:
        return name, (f"the weights are those of '{name}', averaged over training; '{rivals[0]}' was left aside",)
    if rivals:
        raise _choose(_several([name, *rivals]), [name, *rivals], where)
    return name, ()


def _networks(loaded: Mapping[Any, Any]) -> dict[str, Mapping[str, Tensor]]:
    """The entries that hold weights, plain or in one more wrapper; each object once, under its first name."""
    found: dict[int, tuple[str, Any]] = {}
    for name, value in loaded.items():
        within = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        if isinstance(within, Mapping):
            within = next((within[each] for each in WRAPPERS if isinstance(within.get(each), Mapping)), within)
        if isinstance(name, str) and isinstance(within, Mapping):
            found.setdefault(id(within), (name, within))
    return {name: within for name, within in found.values() if _are_weights(within)}


def _are_weights(loaded: Mapping[Any, Any]) -> bool:
    return bool(loaded) and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in loaded.items())


def _rival(own: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str) -> bool:
    """Whether somebody could mean the other network: under a usual name, or of the same form, with other numbers."""
    a, b = core(own), core(other)
    shared = a.keys() & b.keys()
    alike = min(len(a), len(b)) == len(shared) and all(a[each].shape == b[each].shape for each in shared)
    same = alike and all(_same(a[each], b[each]) for each in shared)
    return not same and (alike or name in WRAPPERS)


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers; of kinds that cannot be compared, no."""
    plain = a.layout == b.layout == torch.strided and a.device.type == b.device.type == "cpu"
    return plain and a.dtype == b.dtype and torch.equal(a, b)


def _several(names: Sequence[str]) -> str:
    return f"this file holds {len(names)} networks: {', '.join(name[:60] for name in names[:6])}"


def _choose(found: str, names: Sequence[str], where: object) -> UserError:
    fix = f"Name the one you mean in the card's [checkpoint], as in 'key = \"{names[0][:60]}\"', or save it alone."
    return UserError(found, where=where, fix=fix)


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
