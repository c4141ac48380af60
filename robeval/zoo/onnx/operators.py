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

from robeval.zoo.onnx import shapes
from robeval.zoo.onnx.shapes import only

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
    only(weight.ndim == 4, "over other than two dimensions")
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
    only(not training_mode and spatial == 1, "in training, or not per channel")
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
    only(len(kernel_shape) == 2 and not (ceil_mode and any(around)), "over other than two dimensions, or ceil_mode")
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
    only(simple, "over other than two dimensions, with dilations, or ceil_mode")

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


def identity(x: Tensor) -> Tensor:
    """The same."""
    return x


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
    "Cast": shapes.cast,
    "Clip": clip,
    "Concat": shapes.concat,
    "Conv": conv,
    "Div": div,
    "Dropout": dropout,
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LeakyRelu": leaky_relu,
    "MatMul": torch.matmul,
    "MaxPool": max_pool,
    "Mul": mul,
    "Neg": torch.neg,
    "Pad": shapes.pad,
    "ReduceMean": reduce_mean,
    "Relu": torch.relu,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape_,
    "Sigmoid": torch.sigmoid,
    "Slice": shapes.slice_,
    "Squeeze": shapes.squeeze,
    "Sub": sub,
    "Tanh": torch.tanh,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
