"""MaxPool2d, AvgPool2d, GlobalAvgPool2d: one number for each window of each channel

Shapes     x (N, C, H, W)    y (N, C, Ho, Wo), Ho = (H + 2 ph − kh) // sh + 1, Wo likewise;   global: y (N, C)
Forward    Output (h, w) sees x̃[n,c,i,j,h,w] = x[n, c, h sh + i − ph, w sw + j − pw], i < kh, j < kw
           Max       y[n,c,h,w] = max_i,j x̃[n,c,i,j,h,w]      (padding never wins)               (1)
           Average   y[n,c,h,w] = Σ_i,j x̃[n,c,i,j,h,w] / A    (padding counts as 0)              (2)
           A = kh kw, or the number of taps inside the image where count_include_pad is False
           Global    y[n,c] = Σ_h,w x[n,c,h,w] / (H W)                                           (3)
Backward   Let δ = ∂L/∂y. The maximum is one of the pixels, the first one among equals; near x it stays that one, so
           ∂y/∂(that pixel) = 1, all others 0:
             dx[n,c,v,u] = Σ δ[n,c,h,w] over the windows whose maximum is pixel (v,u)            (4)
           An average hands each of its pixels the same share:
             dx[n,c,v,u] = Σ δ[n,c,h,w] / A over the windows that see pixel (v,u)                (5)
             dx[n,c,h,w] = δ[n,c] / (H W)                                                        (6)
Cache      the place of each maximum, for (4); the shape of x
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manualbp_kernels.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from manualbp_kernels.window import Window

from ..layer import Layer, pair
from ..parameter import Fixed
from ..types import Array, Shape

Size = int | Sequence[int]


class _Pool2d(Layer):
    """What the two kinds of pooling share: their window."""

    window = Fixed()

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        own = type(self).__name__
        kernel = pair(kernel_size, f"{own}: kernel_size", 1)
        steps = kernel if stride is None else pair(stride, f"{own}: stride", 1)
        self.window = Window(kernel, steps, pair(padding, f"{own}: padding"))
        if any(2 * p > k for p, k in zip(self.window.padding, kernel, strict=True)):
            raise ValueError(f"{own}: padding {padding} is more than half of kernel_size {kernel_size}")

    def _output_shape(self, x: Array) -> Shape:
        sizes = tuple(
            (n + 2 * p - k) // s + 1
            for n, k, s, p in zip(x.shape[2:], self.window.kernel, self.window.stride, self.window.padding, strict=True)
        )
        if min(sizes) < 1:
            raise self.misfit("(N, C, H, W) with an image no smaller than the window", x)
        return *x.shape[:2], *sizes

    def describe(self) -> str:
        text = "×".join(map(str, self.window.kernel))
        if self.window.stride != self.window.kernel:
            text += f", stride {self.window.stride}"
        return text + (f", padding {self.window.padding}" if any(self.window.padding) else "")


class MaxPool2d(_Pool2d):
    """The largest pixel of each window; (N, C, H, W), float32 or float64. A NaN in the window is the largest.

    Args:
        kernel_size: an integer, or (rows, columns).
        stride: the same; None for kernel_size.
        padding: the same; at most half of kernel_size.
    """

    def forward(self, x: Array) -> Array:
        x = self.take(x, 4, "(N, C, H, W)")
        y = self.empty("y", self._output_shape(x), x.dtype)
        argmax = self.empty("argmax", y.shape, np.int32)
        max_pool2d(y, argmax, x, self.window)  # (1)
        return self.give(y, cache=(argmax, x.shape))

    def backward(self, dy: Array) -> Array:
        (argmax, shape), dy = self.recall(dy)
        dx = self.empty("dx", shape, dy.dtype)
        max_pool2d_backward(dx, dy, argmax)  # (4)
        return dx


class AvgPool2d(_Pool2d):
    """The average of each window; (N, C, H, W), float32 or float64.

    Args:
        kernel_size, stride, padding: as MaxPool2d.
        count_include_pad: whether the zeros of the padding count in the average.
    """

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, count_include_pad: bool = True
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x: Array) -> Array:
        x = self.take(x, 4, "(N, C, H, W)")
        y = self.empty("y", self._output_shape(x), x.dtype)
        avg_pool2d(y, x, self.window, self.count_include_pad)  # (2)
        return self.give(y, cache=(x.shape,))

    def backward(self, dy: Array) -> Array:
        (shape,), dy = self.recall(dy)
        dx = self.empty("dx", shape, dy.dtype)
        avg_pool2d_backward(dx, dy, self.window, self.count_include_pad)  # (5)
        return dx

    def describe(self) -> str:
        return super().describe() + ("" if self.count_include_pad else ", without padding in the count")


class GlobalAvgPool2d(Layer):
    """The average of each channel: (N, C, H, W) becomes (N, C); float32 or float64."""

    def forward(self, x: Array) -> Array:
        x = self.take(x, 4, "(N, C, H, W)")
        N, C, H, W = x.shape
        y = self.empty("y", (N, C, 1, 1), x.dtype)
        avg_pool2d(y, x, Window((H, W)), True)  # (3)
        return self.give(y[:, :, 0, 0], cache=(x.shape,))

    def backward(self, dy: Array) -> Array:
        (shape,), dy = self.recall(dy)
        dx = self.empty("dx", shape, dy.dtype)
        avg_pool2d_backward(dx, dy[:, :, None, None], Window(shape[2:]), True)  # (6)
        return dx
