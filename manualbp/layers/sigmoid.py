"""Sigmoid, Tanh, Softplus

Shapes     x, y any shape, the same; every element by itself: dx[i] = δ[i] f′(x[i]), δ = ∂L/∂y
Forward    Sigmoid    σ(x) = 1 / (1 + e⁻ˣ)                                       (1)
           Tanh       tanh x = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)                           (2)
           Softplus   log(1 + e^βx) / β, and x itself where βx > threshold       (3)
Backward   With u = 1 + e⁻ˣ, σ = 1/u and σ′ = −u′/u² = e⁻ˣ/u² = (1/u)(1 − 1/u):
             σ′ = y (1 − y)                                                      (4)   at most ¼: why gradients vanish
           tanh = sinh/cosh, so tanh′ = (cosh² − sinh²)/cosh² :
             tanh′ = 1 − y²                                                      (5)   at most 1
           Softplus: (1/β) · β e^βx / (1 + e^βx) :
             f′ = σ(βx), and 1 where βx > threshold                              (6)
Cache      y for Sigmoid and Tanh, whose slopes are polynomials in y; x for Softplus
Stability  With e = e^−|x| the exponent never overflows: σ = 1/(1+e) for x ≥ 0, e/(1+e) below.
"""

from __future__ import annotations

from manualbp_kernels.sigmoid import sigmoid, sigmoid_backward, softplus, softplus_backward, tanh, tanh_backward

from ..layer import Layer
from ..types import Array


class Sigmoid(Layer):
    """y = 1 / (1 + e⁻ˣ), elementwise; any shape, float32 or float64."""

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        sigmoid(y, x)  # (1)
        self.cache = (y,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (y,), dy = self.recall(dy)
        dx = self.empty("dx", y.shape, y.dtype)
        sigmoid_backward(dx, dy, y)  # (4)
        return dx


class Tanh(Layer):
    """y = tanh x, elementwise; any shape, float32 or float64."""

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        tanh(y, x)  # (2)
        self.cache = (y,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (y,), dy = self.recall(dy)
        dx = self.empty("dx", y.shape, y.dtype)
        tanh_backward(dx, dy, y)  # (5)
        return dx


class Softplus(Layer):
    """y = log(1 + e^βx) / β, a smooth ReLU, and x itself where βx > threshold; elementwise, float32 or float64."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if not beta:
            raise ValueError("Softplus: beta must not be 0")
        self.beta, self.threshold = float(beta), float(threshold)

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        softplus(y, x, self.beta, self.threshold)  # (3)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        softplus_backward(dx, dy, x, self.beta, self.threshold)  # (6)
        return dx

    def describe(self) -> str:
        return f"{self.beta:g}"
