"""MSELoss, L1Loss, HuberLoss, SmoothL1Loss: how far a number is from another

Shapes     y, t any shape, the same; ℓ likewise; d = y − t
Forward    MSE         ℓ = d²                                                    (1)
           L1          ℓ = |d|                                                   (2)
           Huber       ℓ = ½ d² for |d| < δ, else δ (|d| − ½ δ)                  (3)
           Smooth L1   ℓ = Huber / β with δ = β; with β = 0 it is L1             (4)
           L = g Σ ℓ, where g = 1/n for a mean over all n elements, 1 for a sum
Backward   ∂d/∂y = 1, so ∂L/∂y = g ℓ′(d):
           MSE         g · 2 d                                                   (5)   2/n, not 1/n: the 2 belongs to d²
           L1          g · sign d, 0 at d = 0                                    (6)
           Huber       g · d for |d| < δ, else g · δ sign d                      (7)
           Smooth L1   as (7), divided by β                                      (8)
Cache      y, t
"""

from __future__ import annotations

from manualbp_kernels.loss import huber, huber_backward, l1, l1_backward, mse, mse_backward

from ..types import Array
from .loss import Loss


class MSELoss(Loss):
    """ℓ = (y − t)². The mean is over all elements, not over samples. Shapes and dtypes of y and t must be the same."""

    def forward(self, y: Array, t: Array) -> float | Array:
        y, t = self.take(y, t)
        l = self.empty("l", y.shape, y.dtype)
        mse(l, self.total, y, t)  # (1)
        return self.give(l, t, cache=(y, t))

    def backward(self, dl: Array | None = None) -> Array:
        y, t = self.recall()
        dy = self.empty("dy", y.shape, y.dtype)
        mse_backward(dy, y, t, self.weight_of_a_term(y.size))  # (5)
        return self.chain(dy, dl)


class L1Loss(Loss):
    """ℓ = |y − t|. The mean is over all elements."""

    def forward(self, y: Array, t: Array) -> float | Array:
        y, t = self.take(y, t)
        l = self.empty("l", y.shape, y.dtype)
        l1(l, self.total, y, t)  # (2)
        return self.give(l, t, cache=(y, t))

    def backward(self, dl: Array | None = None) -> Array:
        y, t = self.recall()
        dy = self.empty("dy", y.shape, y.dtype)
        l1_backward(dy, y, t, self.weight_of_a_term(y.size))  # (6)
        return self.chain(dy, dl)


class HuberLoss(Loss):
    """ℓ = ½ d² for |d| < delta, else delta (|d| − ½ delta), d = y − t. The mean is over all elements."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: delta must be positive, got {delta}")
        self.delta = float(delta)

    def forward(self, y: Array, t: Array) -> float | Array:
        y, t = self.take(y, t)
        l = self.empty("l", y.shape, y.dtype)
        huber(l, self.total, y, t, self.delta, 1.0)  # (3)
        return self.give(l, t, cache=(y, t))

    def backward(self, dl: Array | None = None) -> Array:
        y, t = self.recall()
        dy = self.empty("dy", y.shape, y.dtype)
        huber_backward(dy, y, t, self.delta, self.weight_of_a_term(y.size))  # (7)
        return self.chain(dy, dl)


class SmoothL1Loss(Loss):
    """ℓ = ½ d²/beta for |d| < beta, else |d| − ½ beta, d = y − t. The mean is over all elements."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ValueError(f"SmoothL1Loss: beta must not be negative, got {beta}")
        self.beta = float(beta)

    def forward(self, y: Array, t: Array) -> float | Array:
        y, t = self.take(y, t)
        l = self.empty("l", y.shape, y.dtype)
        if self.beta:
            huber(l, self.total, y, t, self.beta, 1 / self.beta)  # (4)
        else:
            l1(l, self.total, y, t)  # (2)
        return self.give(l, t, cache=(y, t))

    def backward(self, dl: Array | None = None) -> Array:
        y, t = self.recall()
        dy = self.empty("dy", y.shape, y.dtype)
        g = self.weight_of_a_term(y.size)
        if self.beta:
            huber_backward(dy, y, t, self.beta, g / self.beta)  # (8)
        else:
            l1_backward(dy, y, t, g)  # (6)
        return self.chain(dy, dl)
