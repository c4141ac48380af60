"""What the operators of an ONNX graph compute that change the shape of tensors, or the kind of their numbers.

They take inputs and attributes as those in `operators.py` do.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FLOATS = (1, 10, 11, 16)  # kinds of number that Cast knows: float32, float16, float64, bfloat16
WHOLES = (6, 7)  # int32, int64


class UnsupportedError(Exception):
    """A use of an operator that is not known here."""


def only(fine: bool, what: str) -> None:
    """Raise an `UnsupportedError` that says what is not known, unless it is fine."""
    if not fine:
        raise UnsupportedError(what)


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """A matrix: the dimensions before `axis`, and the others."""
    first = torch.Size(x.shape[: axis if axis >= 0 else x.ndim + axis]).numel()
    return x.reshape(first, -1)


def reshape(x: Tensor, target: Tensor, *, allowzero: int = 0) -> Tensor:
    """Another shape; 0 means the dimension that is there, -1 what is left."""
    sizes = target.tolist()
    return x.reshape([x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(sizes)])


def transpose(x: Tensor, *, perm: Sequence[int] = ()) -> Tensor:
    """The dimensions in another order; without one, in reverse."""
    return x.permute(*(perm or reversed(range(x.ndim))))


def squeeze(x: Tensor, given: Tensor | None = None, *, axes: Sequence[int] = ()) -> Tensor:
    """Without these dimensions of size 1."""
    gone = tuple(axes if given is None else given.tolist())
    return x.squeeze(gone or tuple(i for i, size in enumerate(x.shape) if size == 1))


def unsqueeze(x: Tensor, given: Tensor | None = None, *, axes: Sequence[int] = ()) -> Tensor:
    """With dimensions of size 1 at these places of the result."""
    new = list(axes if given is None else given.tolist())
    for axis in sorted(axis % (x.ndim + len(new)) for axis in new):
        x = x.unsqueeze(axis)
    return x


def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """The entries with these numbers along one axis, whose place the shape of `indices` takes."""
    axis %= x.ndim
    rows = (indices % x.shape[axis]).to(x.device)
    return x.index_select(axis, rows.flatten()).reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def slice_(
    x: Tensor,
    starts_: Tensor | None = None,
    ends_: Tensor | None = None,
    axes_: Tensor | None = None,
    steps_: Tensor | None = None,
    *,
    starts: Sequence[int] = (),
    ends: Sequence[int] = (),
    axes: Sequence[int] = (),
) -> Tensor:
    """From `starts` up to `ends` along `axes`."""
    first = starts if starts_ is None else starts_.tolist()
    last = ends if ends_ is None else ends_.tolist()
    along = (axes if axes_ is None else axes_.tolist()) or range(len(first))
    steps = [1] * len(first) if steps_ is None else steps_.tolist()
    only(min(steps, default=1) > 0, "backwards")
    where = [slice(None)] * x.ndim
    for axis, start, end, step in zip(along, first, last, steps, strict=True):
        where[axis] = slice(start, end, step)
    return x[tuple(where)]


def shape_(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    """The sizes of the dimensions."""
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


def concat(*parts: Tensor, axis: int) -> Tensor:
    """One after the other along an axis."""
    return torch.cat(parts, axis)


def pad(
    x: Tensor,
    given: Tensor | None = None,
    constant: Tensor | None = None,
    axes: Tensor | None = None,
    *,
    pads: Sequence[int] = (),
    value: float = 0.0,
    mode: bytes = b"constant",
) -> Tensor:
    """More on both sides of the dimensions."""
    sizes = list(pads if given is None else given.tolist())
    along = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes.tolist()]
    half = len(sizes) // 2
    sides = dict(zip(along, zip(sizes[:half], sizes[half:], strict=True), strict=True))
    around = [size for axis in reversed(range(x.ndim)) for size in sides.get(axis, (0, 0))]
    if mode == b"constant":
        return F.pad(x, around, value=value if constant is None else float(constant))
    only(mode in (b"reflect", b"edge") and x.ndim == 4 and not any(around[4:]), f"of mode {mode.decode()} here")
    return F.pad(x, around[:4], mode="reflect" if mode == b"reflect" else "replicate")


def cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    """Another kind of number: float32 for every floating point, int64 for every whole one."""
    only(to in FLOATS + WHOLES, f"to kind {to}")
    return x.float() if to in FLOATS else x.long()
