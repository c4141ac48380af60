"""The unit of work, storage and resumption, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from robeval.values.attack import AttackSpec
from robeval.values.digest import digest, plain

NO_CLASS = -1  # what an image whose logits are NaN or infinite is classified as


@dataclass(frozen=True, slots=True)
class DataSlice:
    """Samples `start` to `stop` (exclusive) of a data set; `content` is the digest of all its arrays."""

    dataset: str
    split: str
    content: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One model, one slice of data, one attack.

    Attributes:
        model: the model's name.
        weights: digest of all that computes its logits: network, input layer, weights.
        after: the key of the cell whose survivors this one attacks (chains), or empty.
        seed: of every random draw.
        source: digest of the model whose logits and gradients the attack sees (transfer); empty if the model's own.
    """

    model: str
    weights: str
    slice: DataSlice
    attack: AttackSpec
    after: str = ""
    seed: int = 0
    source: str = ""

    @property
    def key(self) -> str:
        """A hash of all that can change the answer and of nothing else."""
        return digest(plain(self) | {"attack": self.attack.identity()})


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the judge decided, one row per sample.

    Attributes:
        sample: index in the split, int64.
        label: the true class, int16.
        clean_predicted: the class given to the clean image, int16; NO_CLASS where its logits are NaN or infinite.
        predicted: the class given to the judged image, int16 (that of the clean image if not attacked).
        broken: wrong on the clean image, or under this attack or one before it in its chain.
        attacked: whether the attack was tried at all (misclassified samples are not attacked).
        distance: norm of the perturbation that broke it, float32; 0 if wrong when clean, NaN if robust. For a
            minimal-distance attack that of the nearest misclassified image it found, be it in the ball or not.
        escaped: the candidate left the ball or the pixel box, so it did not count.
        nonfinite: the candidate, its logits, those of the clean image or a gradient on the way was NaN or infinite.
        queries: forward passes that the attack made, int32.
        backwards: backward passes that it made, int32.
    """

    sample: NDArray[np.int64]
    label: NDArray[np.int16]
    clean_predicted: NDArray[np.int16]
    predicted: NDArray[np.int16]
    broken: NDArray[np.bool_]
    attacked: NDArray[np.bool_]
    distance: NDArray[np.float32]
    escaped: NDArray[np.bool_]
    nonfinite: NDArray[np.bool_]
    queries: NDArray[np.int32]
    backwards: NDArray[np.int32]

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, in order."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class CellResult:
    """A finished cell.

    Attributes:
        more: what else was measured of each sample, by name, each (n,).
    """

    cell: Cell
    verdicts: Verdicts
    seconds: float
    made_with: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellFailure:
    """A cell that could not be finished: recorded beside the results and never counted as one."""

    cell: Cell
    reason: str
    traceback: str
