"""Weights that Keras saved in HDF5: `save("x.h5")`, `save_weights("x.h5")` and, in Keras 3, `("x.weights.h5")`.

TensorFlow keeps convolutions as (height, width, in, out) and dense layers as (in, out); torch wants (out, in, height,
width) and (out, in). A network that was trained with images as (h, w, c) has to flatten its features in that order.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robeval.errors import UserError
from robeval.zoo.formats.refusals import absent, brief, damaged
from robeval.zoo.formats.registry import MOST, file_format

# What torch calls a layer's weights.
NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# The same by their order and dimensions, where Keras 3 numbers them.
NUMBERED = {
    (2,): ("kernel",),
    (4,): ("kernel",),
    (2, 1): ("kernel", "bias"),
    (4, 1): ("kernel", "bias"),
    (1, 1, 1, 1): ("gamma", "beta", "moving_mean", "moving_variance"),
}
OTHERS = ("optimizer", "optimizer_weights", "seed_generator")  # groups that hold no weights of the network
DIGITS = 10  # fewer than that has the number of a layer's weight
DEEPEST = 16  # groups inside each other
FIX = "Build the network in torch, and give it with `--model package.module:factory`."


@file_format("Keras weights, HDF5", lambda head, path: head.startswith(b"\x89HDF\r\n\x1a\n"))
def read(path: Path) -> object:
    """The weights as torch has them, named `<layer>.<kind>`.

    Raises:
        UserError: h5py is not installed; the file is cut or damaged, points to other files, or holds weights of layers
            that are unknown here.
    """
    try:
        import h5py
    except ImportError:
        raise absent(path, "h5py", "keras") from None
    try:
        with path.open("rb") as opened, h5py.File(opened, "r") as file:
            found = dict(_arrays(_datasets(h5py, file, set()), path.stat().st_size))
    except Exception as error:  # of a file that robeval did not write: whatever is raised, it cannot be read
        raise damaged(path, brief(error)) from None
    named = _named({parts: array for parts, array in found.items() if not set(parts) & set(OTHERS)}, path)
    return {_name(parts, named): _torch(parts, array, path) for parts, array in named.items()}


def _datasets(
    h5py: Any, group: Any, met: set[object], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every data set below a group with the names on the way to it.

    Links to other files are not followed, nor are those that may lead back. Keras gives each thing one name: of several
    that lead to it, over which there may be more ways than could ever be walked, none is right.

    Args:
        met: addresses in the file of what there was on the way so far.
    """
    if len(above) > DEEPEST:
        raise RecursionError(f"it has more than {DEEPEST} groups inside each other")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"'{name}' is a link to another place, which is not followed")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in met:
            raise ValueError(f"'{name}' is a second name of something in it, which Keras never gives")
        met.add(address)
        if len(met) > MOST:
            raise ValueError(f"it has more than {MOST} groups and arrays")
        if isinstance(item, h5py.Dataset):
            yield (*above, name), item
        elif name != "model_weights" or above:
            yield from _datasets(h5py, item, met, (*above, name))
        else:  # of a whole model
            yield from _datasets(h5py, item, met)


def _arrays(datasets: Iterator[tuple[Any, Any]], size: int) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
    """The numbers of every data set, which all together are no larger than the file."""
    for parts, dataset in datasets:
        size -= dataset.nbytes
        yield parts, _array(dataset, size)


def _array(dataset: Any, left: int) -> np.ndarray[Any, Any]:
    """The numbers of a data set, which Keras stores as they are in the file itself."""
    if dataset.external or dataset.is_virtual or dataset.id.get_create_plist().get_nfilters():
        raise ValueError(f"'{dataset.name}' is compressed or stored elsewhere, as Keras never does")
    if left < 0 or dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8:
        raise ValueError(f"'{dataset.name}' is larger than the file, or holds no numbers that torch has")
    array = dataset[()]
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _named(
    arrays: Mapping[tuple[str, ...], np.ndarray[Any, Any]], path: Path
) -> dict[tuple[str, ...], np.ndarray[Any, Any]]:
    """The arrays under (..., layer, kind): without `:0`, and with kinds for numbers."""
    named = {}
    numbered = defaultdict(list)
    for parts, array in arrays.items():
        if parts[-2:-1] == ("vars",):
            numbered[parts[:-2]].append((int(parts[-1]) if _is_number(parts[-1]) else -1, array))
        else:
            named[(*parts[:-1], parts[-1].removesuffix(":0"))] = array
    for layer, members in numbered.items():
        members.sort(key=lambda member: member[0])
        kinds = NUMBERED.get(tuple(array.ndim for _, array in members))
        if kinds is None:
            found = f"layer '{'/'.join(layer)}' has {len(members)} weights without names; which is which is not known"
            raise UserError(found, where=path, fix=FIX)
        named.update({(*layer, kind): array for kind, (_, array) in zip(kinds, members)})
    return named


def _is_number(name: str) -> bool:
    return len(name) < DIGITS and name.isdecimal()


def _name(parts: tuple[str, ...], among: Mapping[tuple[str, ...], object]) -> str:
    """The layer's own name if that tells it from all others, else the whole way to it; then torch's word."""
    alone = sum(other[-2:] == parts[-2:] for other in among) == 1
    return ".".join([*(parts[-2:-1] if alone else parts[:-1]), NAMES.get(parts[-1], parts[-1])])


def _torch(parts: tuple[str, ...], array: np.ndarray[Any, Any], path: Path) -> Tensor:
    if parts[-1] not in NAMES or (parts[-1] == "kernel" and array.ndim not in (2, 4)):
        found = f"'{'/'.join(parts)}' has {array.ndim} dimensions and is of a layer that is not known here"
        raise UserError(found, where=path, fix=FIX)
    tensor = torch.from_numpy(array)
    if parts[-1] != "kernel":
        return tensor
    return tensor.permute(3, 2, 0, 1).contiguous() if tensor.ndim == 4 else tensor.T.contiguous()
