"""Conv2d, Conv1d:  every output looks through a small window, and all of them share one set of weights

Shapes     x (N, C, H, W)    W (O, C/g, kh, kw)    b (O,)    y (N, O, Ho, Wo)    g groups
           Ho = (H + padding before and after − dh (kh − 1) − 1) // sh + 1, Wo likewise
           Conv1d is Conv2d on images of height 1: x (N, C, T), W (O, C/g, k), y (N, O, To)
Forward    Output (h, w) sees through tap (i, j) the pixel
             x̃[n,c,i,j,h,w] = x[n, c, h sh + i dh − ph, w sw + j dw − pw],  0 outside the image     (1)
             y[n,o,h,w] = Σ_c,i,j W[o,c,i,j] x̃[n,c,i,j,h,w] + b[o]                                  (2)
           (a cross-correlation; c runs over the channels of o's group)
Backward   Let δ = ∂L/∂y. W[o,c,i,j] reaches L through every y[n,o,h,w], with ∂y/∂W = x̃:
             dW[o,c,i,j] = Σ_n,h,w δ[n,o,h,w] x̃[n,c,i,j,h,w]                                        (3)
             db[o] = Σ_n,h,w δ[n,o,h,w]                                                             (4)
           A pixel reaches L through every window that sees it. Through one of them,
             dx̃[n,c,i,j,h,w] = Σ_o W[o,c,i,j] δ[n,o,h,w]                                            (5)
           and each of these is added to the pixel that (1) read; what was padding is dropped:
             dx[n,c,v,u] = Σ dx̃[n,c,i,j,h,w] over (i,j,h,w) with v = h sh + i dh − ph, u = w sw + j dw − pw    (6)
Cache      x, for (3)
"""

from __future__ import annotations

from collections.abc import Sequence

from manualbp_kernels.conv import conv2d, conv2d_backward_weights, conv2d_input_gradient
from manualbp_kernels.window import Window

from .. import init
from ..layer import Layer, integer, pair
from ..parameter import Fixed, Weight
from ..types import Array, DTypeLike, Shape

Size = int | Sequence[int]


class Conv2d(Layer):
    """2-D convolution of (N, C, H, W) images.

    Args:
        in_channels: C.
        out_channels: O, the number of filters.
        kernel_size, stride, dilation: an integer, or (rows, columns).
        padding: zeros around the image, an integer or (rows, columns); "valid" for none, "same" for an output as
            large as the input (stride 1 only; an odd number of zeros has one more after than before).
        groups: the channels are split into this many groups that do not see each other; C groups: depthwise.
        bias: whether there is a b.
        dtype: float32 or float64.

    W (O, C/groups, kh, kw) and b (O,) start uniform in ±1/√(C/groups · kh · kw), as PyTorch's.
    """

    W = Weight("weight")
    b = Weight("bias")
    in_channels, out_channels, groups, padding, window = Fixed(), Fixed(), Fixed(), Fixed(), Fixed()
    dW: Array
    db: Array
    first_axis = 0  # of the window, that the repr shows

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__(dtype)
        own = type(self).__name__
        self.in_channels = integer(in_channels, f"{own}: in_channels")
        self.out_channels = integer(out_channels, f"{own}: out_channels")
        self.groups = integer(groups, f"{own}: groups")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{own}: in_channels {in_channels} and out_channels {out_channels} must be multiples of groups {groups}"
            )
        kernel = pair(kernel_size, f"{own}: kernel_size", 1)
        steps, spread = pair(stride, f"{own}: stride", 1), pair(dilation, f"{own}: dilation", 1)
        self.padding = _padding(padding, kernel, steps, spread, own)  # ((top, bottom), (left, right))
        self.window = Window(kernel, steps, (self.padding[0][0], self.padding[1][0]), spread)
        shape = self._weight_shape(self.out_channels, self.in_channels // self.groups, kernel)
        fan_in, _ = init.fans(shape)
        self.W = init.default(shape, fan_in, self.dtype)
        self.b = init.default((self.out_channels,), fan_in, self.dtype) if bias else None

    def forward(self, x: Array) -> Array:
        x = self.take(x, 4, f"(N, {self.in_channels}, H, W)")
        y = self.empty("y", self._output_shape(x), self.dtype)
        conv2d(y, x, self.W, self.b, self.window)  # (1) (2)
        return self.give(y, cache=(x,))

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        conv2d_backward_weights(self.dW, self.db, x, dy, self.window)  # (3) (4)
        dx = self.empty("dx", x.shape, self.dtype)
        conv2d_input_gradient(dx, dy, self.W, self.window)  # (5) (6)
        return dx

    def backward_weights(self, dy: Array) -> None:
        (x,), dy = self.recall(dy)
        conv2d_backward_weights(self.dW, self.db, x, dy, self.window)  # (3) (4)

    @staticmethod
    def _weight_shape(out_channels: int, in_channels: int, kernel: tuple[int, int]) -> Shape:
        return out_channels, in_channels, *kernel

    def _output_shape(self, x: Array) -> tuple[int, int, int, int]:
        N, C, H, W = x.shape
        if self.in_channels != C:
            raise self.misfit(f"(N, {self.in_channels}, H, W)", x)
        Ho, Wo = (
            (n + before + after - d * (k - 1) - 1) // s + 1
            for n, (before, after), k, s, d in zip(
                (H, W), self.padding, self.window.kernel, self.window.stride, self.window.dilation, strict=True
            )
        )
        if Ho < 1 or Wo < 1:
            raise self.misfit(f"(N, {self.in_channels}, H, W) with an image no smaller than the window", x)
        return N, self.out_channels, Ho, Wo

    def describe(self) -> str:
        window, first = self.window, self.first_axis
        parts = [f"{self.in_channels} → {self.out_channels}", "×".join(map(str, window.kernel[first:]))]
        if window.stride != (1, 1):
            parts.append(f"stride {_short(window.stride[first:])}")
        if any(map(any, self.padding)):
            parts.append(f"padding {_short(tuple(b if b == a else (b, a) for b, a in self.padding[first:]))}")
        if window.dilation != (1, 1):
            parts.append(f"dilation {_short(window.dilation[first:])}")
        if self.groups > 1:
            parts.append(f"groups {self.groups}")
        return ", ".join(parts) + (", no bias" if self.b is None else "")


class Conv1d(Conv2d):
    """1-D convolution of (N, C, T) signals: Conv2d on images of height 1. Arguments as there, W is (O, C/groups, k).

    Each size is an integer or, as in PyTorch, a tuple of one.
    """

    first_axis = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        kernel, step = _along(kernel_size, "kernel_size"), _along(stride, "stride")
        zeros = padding if isinstance(padding, str) else (0, _along(padding, "padding", 0))
        spread = _along(dilation, "dilation")
        super().__init__(in_channels, out_channels, (1, kernel), (1, step), zeros, (1, spread), groups, bias, dtype)

    def forward(self, x: Array) -> Array:
        x = self.take(x, 3, f"(N, {self.in_channels}, T)")[:, :, None]
        y = self.empty("y", self._output_shape(x), self.dtype)
        conv2d(y, x, self.W[:, :, None], self.b, self.window)  # (1) (2)
        return self.give(y[:, :, 0], cache=(x,))

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dy = dy[:, :, None]
        conv2d_backward_weights(self.dW[:, :, None], self.db, x, dy, self.window)  # (3) (4)
        dx = self.empty("dx", x.shape, self.dtype)
        conv2d_input_gradient(dx, dy, self.W[:, :, None], self.window)  # (5) (6)
        return dx[:, :, 0]

    def backward_weights(self, dy: Array) -> None:
        (x,), dy = self.recall(dy)
        conv2d_backward_weights(self.dW[:, :, None], self.db, x, dy[:, :, None], self.window)  # (3) (4)

    @staticmethod
    def _weight_shape(out_channels: int, in_channels: int, kernel: tuple[int, int]) -> Shape:
        return out_channels, in_channels, kernel[1]


def _padding(
    padding: Size | str, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], layer: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros (before, after) along each axis."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{layer}: padding='same' needs stride 1, got {stride}")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (totals[0] // 2, totals[0] - totals[0] // 2), (totals[1] // 2, totals[1] - totals[1] // 2)
    if isinstance(padding, str):
        raise ValueError(f"{layer}: padding must be a number, two of them, 'same' or 'valid', got {padding!r}")
    rows, columns = pair(padding, f"{layer}: padding")
    return (rows, rows), (columns, columns)


def _along(value: Size, what: str, least: int = 1) -> int:
    """A size of Conv1d: an integer, or a sequence of one."""
    single = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1 else value
    return integer(single, f"Conv1d: {what}", least)


def _short(values: tuple[object, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))
