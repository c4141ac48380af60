"""Convolutions padded as TensorFlow and JAX do."""

import torch.nn.functional as F
from torch import Tensor, nn


class Same(nn.Conv2d):
    """A 3x3 convolution padded as SAME: with stride 2 on even sizes, only below and right."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Features (n, inputs, h, w) to (n, outputs, h / stride, w / stride), rounded up."""
        stride = self.stride[0]
        down, right = (max((-(-size // stride) - 1) * stride + 3 - size, 0) for size in input.shape[2:])
        return super().forward(F.pad(input, (right // 2, right - right // 2, down // 2, down - down // 2)))
