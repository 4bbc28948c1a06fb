"""Rectifiers:  ReLU, LeakyReLU, ELU, SELU

Shapes     x, y any shape, the same; every element by itself, so y[i] depends on x[i] alone and
           dx[i] = δ[i] f′(x[i]) with δ = ∂L/∂y. The Jacobian is diagonal: an elementwise product, no matrix.
Forward    ReLU        f(x) = max(x, 0)                                          (1)
           LeakyReLU   f(x) = x for x > 0, else s x                              (2)
           ELU         f(x) = x for x > 0, else α (eˣ − 1)                       (3)
           SELU        f(x) = λ · ELU(x) with the α and λ that keep mean 0, variance 1      (4)
Backward   ReLU        f′(x) = 1 for x > 0, else 0                               (5)
           LeakyReLU   f′(x) = 1 for x > 0, else s                               (6)
           ELU         f′(x) = 1 for x > 0, else α eˣ   (d/dx of (3), not f(x) + α: that holds on one side only)  (7)
           SELU        f′(x) = λ · ELU′(x)                                       (8)
           At the kink x = 0 the derivative from the left is taken, as PyTorch does.
Cache      x
Source     Clevert et al., "Fast and accurate deep network learning by exponential linear units" (2015); Klambauer
           et al., "Self-normalizing neural networks" (2017)
"""

from __future__ import annotations

from manualbp_kernels.relu import elu, elu_backward, leaky_relu, leaky_relu_backward, relu, relu_backward

from ..layer import Layer
from ..types import Array

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


class ReLU(Layer):
    """y = max(x, 0), elementwise; any shape, float32 or float64.

    ``inplace`` is PyTorch's argument and has no effect: a layer never writes into its input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        relu(y, x)  # (1)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        relu_backward(dx, dy, x)  # (5)
        return dx


class LeakyReLU(Layer):
    """y = x where x > 0, else negative_slope · x; elementwise, any shape, float32 or float64.

    ``inplace`` is PyTorch's argument and has no effect: a layer never writes into its input.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = float(negative_slope)

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        leaky_relu(y, x, self.negative_slope)  # (2)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        leaky_relu_backward(dx, dy, x, self.negative_slope)  # (6)
        return dx

    def describe(self) -> str:
        return f"{self.negative_slope:g}"


class ELU(Layer):
    """y = x where x > 0, else alpha (eˣ − 1); elementwise, any shape, float32 or float64.

    ``inplace`` is PyTorch's argument and has no effect: a layer never writes into its input.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = float(alpha)

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        elu(y, x, self.alpha, 1.0)  # (3)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        elu_backward(dx, dy, x, self.alpha, 1.0)  # (7)
        return dx

    def describe(self) -> str:
        return f"{self.alpha:g}"


class SELU(Layer):
    """y = λ x where x > 0, else λ α (eˣ − 1), λ ≈ 1.0507, α ≈ 1.6733; elementwise, any shape, float32 or float64.

    ``inplace`` is PyTorch's argument and has no effect: a layer never writes into its input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        elu(y, x, SELU_ALPHA, SELU_SCALE)  # (4)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        elu_backward(dx, dy, x, SELU_ALPHA, SELU_SCALE)  # (8)
        return dx
