"""Some of the samples of a split: a range of them, or a random part in which each class has its share."""

import re

import numpy as np
from numpy.typing import NDArray

from robeval.datasets.registry import Samples
from robeval.errors import UserError

OPTION = "--sample"
FORMS = "Give START:STOP, as 1000:2000, or stratified:N:SEED, as stratified:1000:0."


def choose(samples: Samples, wanted: str) -> Samples:
    """The samples that `wanted` names; each keeps its id, and so its random draws.

    Args:
        wanted: `START:STOP` (STOP not included), or `stratified:N:SEED`; `stratified:N` has the seed 0.

    Raises:
        UserError: it has another form, or asks for none or for more samples than there are.
    """
    if match := re.fullmatch(r"(\d{1,9}):(\d{1,9})", wanted):
        start, stop = map(int, match.groups())
        if not start < stop <= len(samples):
            raise UserError(f"'{wanted}' is no range in {len(samples)} samples", where=OPTION, fix=FORMS)
        return samples.take(np.arange(start, stop), wanted)
    if match := re.fullmatch(r"stratified:(\d{1,9})(?::(\d{1,9}))?", wanted):
        count, seed = int(match[1]), int(match[2] or 0)
        if not 1 <= count <= len(samples):
            raise UserError(f"'{wanted}' cannot be had of {len(samples)} samples", where=OPTION, fix=FORMS)
        return samples.take(stratified(samples.y, count, seed), f"stratified:{count}:{seed}")
    raise UserError(f"'{wanted}' names no samples", where=OPTION, fix=FORMS)


def stratified(y: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """The places, in order, of `count` samples of which each class has its share of all, int64 (count,).

    The shares are rounded by the largest remainder, of equal ones the lower class first. Of each class the first so
    many in an order drawn with the seed are taken, so that a larger part of the same seed holds most of a smaller.
    """
    draw = np.random.RandomState(seed)  # whose numbers are the same in every numpy
    orders = [draw.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    shares = np.array([len(order) for order in orders]) * count
    numbers, remainders = shares // len(y), shares % len(y)
    numbers[np.argsort(-remainders, kind="stable")[: count - numbers.sum()]] += 1
    return np.sort(np.concatenate([order[:number] for order, number in zip(orders, numbers)]))
