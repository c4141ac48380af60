"""The images that a training learns from: on the device where they fit, else brought there batch by batch."""

import math

import torch
from torch import Tensor

from robeval.datasets.registry import Samples

ROOM = 2 << 30  # bytes of float32 images that are kept on the device: MNIST and CIFAR are, ImageNet is not


class Images:
    """Training images and classes, by their indices."""

    def __init__(self, samples: Samples, device: torch.device) -> None:
        self._samples, self._device = samples, device
        size = 4 * len(samples) * math.prod(samples.shape)
        self._kept = tuple(each.to(device) for each in samples.slice(0, len(samples))) if size <= ROOM else None

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Those at the indices `rows`, int64 (n,): float32 (n, c, h, w) and int64 (n,), on the device."""
        if self._kept is not None:
            x, y = self._kept
            return x[rows], y[rows]
        x, y = self._samples.take(rows.numpy(), "batch").slice(0, len(rows))
        return x.to(self._device), y.to(self._device)
