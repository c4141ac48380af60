"""Random numbers that belong to samples, not to batches.

Every draw is a function of (seed, name, restart, sample, number of the draw) alone, made by the
counter-based generator Philox (Salmon et al., 2011). So batch size, order, retired samples, resumption
and the number of workers change nothing, and the numbers are the same on every device.
"""

import hashlib
from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Fill = Callable[[np.random.Generator, NDArray[np.float32]], object]


class Noise:
    """One independent stream of random numbers per sample.

    Args:
        seed: of the run.
        name: of the attack or training method; other names get other numbers.
        restart: number of the restart.
        samples: index of each sample in its data set, int64 (n,).
        device: where the numbers go.

    Attributes:
        restart: as given; attacks whose first restart draws nothing look at it.
    """

    def __init__(
        self,
        seed: int,
        name: str,
        restart: int,
        samples: Sequence[int] | NDArray[np.int64],
        device: torch.device | str = "cpu",
    ) -> None:
        self._key = np.frombuffer(hashlib.sha256(f"{seed}|{name}|{restart}".encode()).digest()[:16], np.uint64)
        self.restart = restart
        self._samples = np.asarray(samples, np.int64)
        self._device = device
        self._draws = 0

    def part(self, rows: NDArray[np.int64]) -> "Noise":
        """The streams of some of the samples, by their place here, from where they stand now."""
        some = copy(self)
        some._samples = self._samples[rows]
        return some

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Float32 (n, *shape), uniform on [0, 1)."""
        return self._draw(shape, lambda stream, out: stream.random(dtype=np.float32, out=out))

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Float32 (n, *shape), standard normal."""
        return self._draw(shape, lambda stream, out: stream.standard_normal(dtype=np.float32, out=out))

    def _draw(self, shape: Sequence[int], fill: Fill) -> Tensor:
        numbers = np.empty((len(self._samples), *shape), np.float32)
        for row, sample in zip(numbers, self._samples, strict=True):
            # The lowest word of the counter runs within a draw; the others say whose draw it is.
            counter = np.array([0, self._draws, sample, 0], np.uint64)
            fill(np.random.Generator(np.random.Philox(key=self._key, counter=counter)), row)
        self._draws += 1
        return torch.from_numpy(numbers).to(self._device)
