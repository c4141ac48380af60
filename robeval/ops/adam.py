"""The optimiser that attacks on a change of variables use."""

import torch
from torch import Tensor

from robeval.ops.geometry import per_row


class Adam:
    """Adam (Kingma & Ba, 2015, Algorithm 1), with a clock for each row, so that rows can start afresh by themselves."""

    def __init__(self, like: Tensor, rate: float, eps: float) -> None:
        self._rate, self._eps = rate, eps
        self._mean, self._square = torch.zeros_like(like), torch.zeros_like(like)
        # 0.9^t and 0.999^t, by multiplication: powers may differ in the last bit with the number of rows.
        self._faded, self._faded_square = (
            torch.ones(len(like), dtype=torch.float64, device=like.device) for _ in range(2)
        )

    def step(self, slope: Tensor) -> Tensor:
        """The move down a slope, (n, c, h, w)."""
        self._faded, self._faded_square = 0.9 * self._faded, 0.999 * self._faded_square
        self._mean = 0.9 * self._mean + 0.1 * slope
        self._square = 0.999 * self._square + 0.001 * slope * slope
        mean = self._mean / per_row(1 - self._faded).float()
        square = self._square / per_row(1 - self._faded_square).float()
        return -self._rate * mean / (square.sqrt() + self._eps)

    def restart(self, rows: Tensor) -> None:
        """Forget what some rows, bool (n,), have seen."""
        self._mean = self._mean.where(~per_row(rows), 0.0)
        self._square = self._square.where(~per_row(rows), 0.0)
        self._faded, self._faded_square = self._faded.where(~rows, 1.0), self._faded_square.where(~rows, 1.0)
