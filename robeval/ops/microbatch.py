"""A model run in one fixed batch shape.

Convolution and reduction kernels may round differently for different batch sizes, and an attack amplifies the
last bit through its sign. With one shape, the last microbatch padded, what a row gets does not depend
on its neighbours, its place or their number.
"""

import math
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
        self._steady: bool | None = None  # whether it answers twice alike; None if it was not asked yet

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

        One forward pass and m backward passes; or, for so few rows that most of a microbatch would be padding, one
        of each for every pair of a row and a class, many to a microbatch. A row gets the same bits either way. Random
        models are asked the first way alone, as the slopes of a row must be of one draw.
        """
        (rows, many), size = classes.shape, self.size
        if 2 * math.ceil(rows * many / size) < math.ceil(rows / size) * (1 + many) and self._is_steady(x):
            pairs, wanted = torch.arange(rows * many, device=x.device).split(size), classes.flatten()
            parts = [self.value_and_gradient(x[pair // many], _chosen, wanted[pair]) for pair in pairs]
            logits, slopes = (torch.cat([part[i] for part in parts]) for i in (0, 2))
            return logits[::many], slopes.view(rows, many, *x.shape[1:])
        found = [self._jacobian(count, *piece) for count, piece in _pieces(size, x, classes)]
        return torch.cat([logits for logits, _ in found]), torch.cat([slopes for _, slopes in found])

    def _is_steady(self, x: Tensor) -> bool:
        if self._steady is None:
            self._steady = torch.equal(*(self.logits(x).nan_to_num() for _ in range(2)))
        return self._steady

    def _jacobian(self, rows: int, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """That of the first `rows` images of one microbatch."""
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            answer = _differentiable(self.model(images))
            chosen = answer.gather(1, classes)[:rows].sum(dim=0)  # (m,)
            # By number: the way back from `for each in chosen` would cost as much as there are classes.
            places = range(len(chosen))
            parts = [torch.autograd.grad(chosen[i], images, retain_graph=True)[0][:rows] for i in places]
        return answer.detach()[:rows], torch.stack(parts, dim=1)


def _chosen(logits: Tensor, classes: Tensor) -> Tensor:
    """Each row's logit of one class, (n,)."""
    return logits.gather(1, classes[:, None]).squeeze(1)


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
