"""Softmax, LogSoftmax: K numbers into a distribution over K classes

Shapes     x, y any shape, the same; one axis, of K elements, is normalised, all others are independent
Forward    Softmax      y[k] = e^x[k] / Σ_j e^x[j]                               (1)
           LogSoftmax   y[k] = x[k] − log Σ_j e^x[j]                             (2)
Backward   Let δ = ∂L/∂y. Each x[k] reaches every y[j]. From (1), ∂y[j]/∂x[k] = y[j] ([j=k] − y[k]), so
             dx[k] = Σ_j δ[j] y[j] ([j=k] − y[k]) = y[k] (δ[k] − Σ_j δ[j] y[j])          (3)   a full Jacobian, in K steps
           From (2), ∂y[j]/∂x[k] = [j=k] − e^y[k], so
             dx[k] = δ[k] − e^y[k] Σ_j δ[j]                                      (4)
Cache      y
Stability  Adding a constant to all x changes nothing, so max x is subtracted first: the largest exponent is e⁰.
"""

from __future__ import annotations

import math

from manualbp_kernels.softmax import log_softmax, log_softmax_backward, softmax, softmax_backward

from ..layer import Layer, integer
from ..types import Array, Shape


def split(shape: Shape, dim: int) -> Shape:
    """``shape`` as (outer, K, inner), K being axis ``dim``."""
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim:][1:])


class Softmax(Layer):
    """y[k] = e^x[k] / Σ_j e^x[j] along axis ``dim``; any shape, float32 or float64.

    Before CrossEntropyLoss there must be none: that loss contains its own.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = integer(dim, f"{type(self).__name__}: dim", None)

    def forward(self, x: Array) -> Array:
        x = self.take(x)
        groups = _groups(self, x, self.dim)
        y = self.empty("y", x.shape, x.dtype)
        softmax(y.reshape(groups), x.reshape(groups))  # (1)
        return self.give(y, cache=(y, groups))

    def backward(self, dy: Array) -> Array:
        (y, groups), dy = self.recall(dy)
        dx = self.empty("dx", y.shape, y.dtype)
        softmax_backward(dx.reshape(groups), dy.reshape(groups), y.reshape(groups))  # (3)
        return dx

    def describe(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Layer):
    """y[k] = x[k] − log Σ_j e^x[j] along axis ``dim``; any shape, float32 or float64. Goes before NLLLoss."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = integer(dim, f"{type(self).__name__}: dim", None)

    def forward(self, x: Array) -> Array:
        x = self.take(x)
        groups = _groups(self, x, self.dim)
        y = self.empty("y", x.shape, x.dtype)
        log_softmax(y.reshape(groups), x.reshape(groups))  # (2)
        return self.give(y, cache=(y, groups))

    def backward(self, dy: Array) -> Array:
        (y, groups), dy = self.recall(dy)
        dx = self.empty("dx", y.shape, y.dtype)
        log_softmax_backward(dx.reshape(groups), dy.reshape(groups), y.reshape(groups))  # (4)
        return dx

    def describe(self) -> str:
        return f"dim={self.dim}"


def _groups(layer: Layer, x: Array, dim: int) -> Shape:
    if not -x.ndim <= dim < x.ndim:
        raise layer.misfit(f"(…) with an axis {dim}", x)
    return split(x.shape, dim % x.ndim)
