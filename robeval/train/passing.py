"""Accuracies of the images that are learnt from, read off the passes that a method makes anyway."""

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn


class Passing:
    """Listens to a network while a method computes the loss of a batch.

    Of every image, the first pass in which it was as it is counts as clean, and the last in which it was changed as
    adversarial: that is the one it is learnt from. Steps of the inner problem are not looked at. Nothing is computed
    before it is asked for, and nothing waits for the device.

    Args:
        x: the batch, (n, c, h, w).
    """

    def __init__(self, net: nn.Module, x: Tensor) -> None:
        self._net, self._x = net, x
        self._passes: list[tuple[Tensor, Tensor]] = []

    def __enter__(self) -> "Passing":
        self._handle = self._net.register_forward_hook(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.remove()

    def right(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For each image, bool (n,): clean and seen, that and right, changed and seen, that and right."""
        clean, clean_right, changed, changed_right = torch.zeros(4, len(y), dtype=torch.bool, device=y.device)
        for images, logits in self._passes:
            right = logits.argmax(dim=1) == y
            other = (images != self._x).flatten(1).any(dim=1)
            clean_right = torch.where(clean | other, clean_right, right)
            changed_right = torch.where(other, right, changed_right)
            clean, changed = clean | ~other, changed | other
        return clean, clean_right, changed, changed_right

    def _note(self, net: nn.Module, given: tuple[Any, ...], logits: Tensor) -> None:
        (images,) = given
        own = images.data_ptr() == self._x.data_ptr()
        step = images.is_leaf and images.requires_grad and not own  # a slope to it is wanted, and nothing else
        if len(images) == len(self._x) and not step:
            self._passes.append((images.detach(), logits.detach()))
