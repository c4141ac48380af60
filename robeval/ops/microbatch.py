"""A model run in one fixed batch shape.

Convolution and reduction kernels may round differently for different batch sizes, and an attack amplifies the
last bit through its sign. With one shape, the last microbatch padded, what a row gets does not depend
on its neighbours, its place or their number.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from robeval.errors import CellError
from robeval.ops.classifier import Classifier

Loss = Callable[[Tensor, Tensor], Tensor]


class Microbatches:
    """Walks any number of rows through a model in microbatches of exactly `size` rows."""

    def __init__(self, model: Classifier, size: int) -> None:
        self.model, self.size = model, size

    def logits(self, x: Tensor) -> Tensor:
        """Logits, float32 (n, k), without a graph."""
        with torch.no_grad():
            return by_row(self.model, self.size, x)

    def value_and_gradient(self, x: Tensor, loss: Loss, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (n, k), loss values (n,) and the gradient of each row's loss to its image (n, c, h, w)."""
        logits, values, slopes = [], [], []
        for rows, (images, wanted) in _pieces(self.size, x, target):
            images = images.detach().requires_grad_()
            with torch.enable_grad():
                answer = _differentiable(self.model(images))
                value = loss(answer, wanted)
                (slope,) = torch.autograd.grad(value[:rows].sum(), images)
            logits.append(answer.detach()[:rows])
            values.append(value.detach()[:rows])
            slopes.append(slope[:rows])
        return torch.cat(logits), torch.cat(values), torch.cat(slopes)

    def jacobian(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, k) and the gradients of the logits of some classes, int64 (n, m), to the image (n, m, c, h, w).

        One forward pass and m backward passes.
        """
        logits, slopes = [], []
        for rows, (images, wanted) in _pieces(self.size, x, classes):
            images = images.detach().requires_grad_()
            with torch.enable_grad():
                answer = _differentiable(self.model(images))
                chosen = answer.gather(1, wanted)[:rows].sum(dim=0)  # (m,)
                # By number: the way back from `for each in chosen` would cost as much as there are classes.
                places = range(len(chosen))
                parts = [torch.autograd.grad(chosen[i], images, retain_graph=True)[0][:rows] for i in places]
            logits.append(answer.detach()[:rows])
            slopes.append(torch.stack(parts, dim=1))
        return torch.cat(logits), torch.cat(slopes)


def _differentiable(logits: Tensor) -> Tensor:
    if logits.requires_grad:
        return logits
    raise CellError(
        "its logits have no gradient to the image",
        where="model",
        fix="Use attacks without gradients, or remove no_grad/detach/argmax from its forward pass.",
    )


def by_row(function: Callable[..., Tensor], size: int, *tensors: Tensor) -> Tensor:
    """`function` of the tensors' rows, called with exactly `size` rows at a time."""
    return torch.cat([function(*pieces)[:rows] for rows, pieces in _pieces(size, *tensors)])


def _pieces(size: int, *tensors: Tensor) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """How many rows are real, and the rows, padded with zeros; at least one piece."""
    count = len(tensors[0])
    for start in range(0, max(count, 1), size):
        rows = min(size, count - start)
        yield rows, tuple(_padded(tensor[start : start + rows], size) for tensor in tensors)


def _padded(rows: Tensor, size: int) -> Tensor:
    if len(rows) == size:
        return rows
    return torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])])
