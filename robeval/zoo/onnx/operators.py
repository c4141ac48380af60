"""What the operators of an ONNX graph compute, with gradients: https://onnx.ai/onnx/operators/, opsets 7 and later.

A function takes an operator's inputs in order, None for one that is left out, and its attributes by their ONNX names in
lower case. What is an attribute in older opsets and an input in newer ones it takes as both. Whole numbers, such as
shapes, are int64 tensors on the CPU.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FLOATS = (1, 10, 11, 16)  # kinds of number that Cast knows: float32, float16, float64, bfloat16
WHOLES = (6, 7)  # int32, int64


class UnsupportedError(Exception):
    """A use of an operator that is not known here."""


def _only(fine: bool, what: str) -> None:
    if not fine:
        raise UnsupportedError(what)


# ── layers ──


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
    auto_pad: bytes = b"NOTSET",
) -> Tensor:
    """Images (n, c, h, w) with a kernel (out, in, h, w)."""
    _only(weight.ndim == 4, "over other than two dimensions")
    around = _around(x, auto_pad, pads, weight.shape[2:], strides, dilations)
    x, padding = _padded(x, around, 0.0)
    return F.conv2d(x, weight, bias, tuple(strides), padding, tuple(dilations), group)


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transa: int = 0,
    transb: int = 0,
) -> Tensor:
    """Equation alpha a b + beta c."""
    product = (a.T if transa else a) @ (b.T if transb else b)
    product = product if alpha == 1 else alpha * product
    if c is None:
        return product
    return product + (c if beta == 1 else beta * c)


def batch_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    spatial: int = 1,
) -> Tensor:
    """With the statistics that were kept."""
    _only(not training_mode and spatial == 1, "in training, or not per channel")
    return F.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)


def max_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    auto_pad: bytes = b"NOTSET",
    ceil_mode: int = 0,
    storage_order: int = 0,
) -> Tensor:
    """The largest value of each window."""
    around = _around(x, auto_pad, pads, kernel_shape, strides, dilations)
    _only(len(kernel_shape) == 2 and not (ceil_mode and any(around)), "over other than two dimensions, or ceil_mode")
    x, padding = _padded(x, around, -torch.inf, kernel_shape)
    return F.max_pool2d(x, tuple(kernel_shape), tuple(strides), padding, tuple(dilations), bool(ceil_mode))


def average_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    auto_pad: bytes = b"NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
) -> Tensor:
    """The mean of each window; of what lies outside the image nothing counts, unless `count_include_pad`."""
    around = _around(x, auto_pad, pads, kernel_shape, strides, dilations)
    simple = len(kernel_shape) == 2 and set(dilations) == {1} and not (ceil_mode and any(around))
    _only(simple, "over other than two dimensions, with dilations, or ceil_mode")

    def pool(images: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(images, around), tuple(kernel_shape), tuple(strides), ceil_mode=bool(ceil_mode))

    if count_include_pad or not any(around):
        return pool(x)
    return pool(x) / pool(torch.ones_like(x[:1, :1]))


def global_average_pool(x: Tensor) -> Tensor:
    """The mean of each channel, (n, c, 1, 1)."""
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


def dropout(x: Tensor, *_: Tensor | None, ratio: float = 0.5, seed: int = 0) -> Tensor:
    """Nothing, as after training."""
    return x


def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """Below zero, a slope of `alpha`."""
    return F.leaky_relu(x, alpha)


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None, **bounds: float) -> Tensor:
    """Values outside of `min` and `max` moved to them."""
    least = bounds.pop("min", None) if low is None else float(low)
    most = bounds.pop("max", None) if high is None else float(high)
    return x if least is None and most is None else x.clamp(least, most)


# ── arithmetic ──


def add(x: Tensor, y: Tensor) -> Tensor:
    """Equation x + y."""
    return x + y


def sub(x: Tensor, y: Tensor) -> Tensor:
    """Equation x - y."""
    return x - y


def mul(x: Tensor, y: Tensor) -> Tensor:
    """Equation x y."""
    return x * y


def div(x: Tensor, y: Tensor) -> Tensor:
    """Equation x / y; of whole numbers without the rest."""
    return x / y if x.is_floating_point() or y.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def reduce_mean(
    x: Tensor,
    given: Tensor | None = None,
    *,
    axes: Sequence[int] = (),
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Tensor:
    """The mean over some axes; over all if none are given."""
    over = tuple(axes if given is None else given.tolist())
    if not over and noop_with_empty_axes:
        return x
    return x.mean(dim=over or tuple(range(x.ndim)), keepdim=bool(keepdims))


# ── shapes ──


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
    _only(min(steps, default=1) > 0, "backwards")
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
    _only(mode in (b"reflect", b"edge") and x.ndim == 4 and not any(around[4:]), f"of mode {mode.decode()} here")
    return F.pad(x, around[:4], mode="reflect" if mode == b"reflect" else "replicate")


def cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    """Another kind of number: float32 for every floating point, int64 for every whole one."""
    _only(to in FLOATS + WHOLES, f"to kind {to}")
    return x.float() if to in FLOATS else x.long()


def identity(x: Tensor) -> Tensor:
    """The same."""
    return x


def _around(
    x: Tensor,
    auto_pad: bytes,
    pads: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """What to put left, right, above and below of images."""
    if auto_pad in (b"NOTSET", b"VALID", b""):
        top, left, bottom, right = pads if auto_pad != b"VALID" else (0, 0, 0, 0)
        return [left, right, top, bottom]
    around: list[int] = []
    for size, width, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size, 0)
        less, more = total // 2, total - total // 2
        around = [*((less, more) if auto_pad == b"SAME_UPPER" else (more, less)), *around]
    return around


def _padded(
    x: Tensor, around: list[int], value: float, kernel: Sequence[int] | None = None
) -> tuple[Tensor, tuple[int, int]]:
    """The images and the padding that is left to the layer: all of it if both sides are the same, else none."""
    left, right, top, bottom = around
    small = kernel is None or (2 * top <= kernel[0] and 2 * left <= kernel[1])  # what torch's pooling takes
    if left == right and top == bottom and small:
        return x, (top, left)
    return F.pad(x, around, value=value), (0, 0)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "Div": div,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LeakyRelu": leaky_relu,
    "MatMul": torch.matmul,
    "MaxPool": max_pool,
    "Mul": mul,
    "Neg": torch.neg,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": torch.relu,
    "Reshape": reshape,
    "Shape": shape_,
    "Sigmoid": torch.sigmoid,
    "Slice": slice_,
    "Squeeze": squeeze,
    "Sub": sub,
    "Tanh": torch.tanh,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
