"""BCELoss, BCEWithLogitsLoss: yes or no, element by element

Shapes     y or x, t any shape, the same; ℓ likewise. t is a probability, mostly 0 or 1
Forward    BCE          ℓ = −t log y − (1 − t) log(1 − y), y a probability       (1)
           With logits  y = σ(x) and w the weight of a positive target:
                        ℓ = −w t log σ(x) − (1 − t) log(1 − σ(x))
                        with log σ(x) = −log(1 + e⁻ˣ) and log(1 − σ(x)) = −x − log(1 + e⁻ˣ):
                          = (1 − t) x + (1 + (w − 1) t) log(1 + e⁻ˣ)             (2)
           L = g Σ ℓ, g = 1/n for a mean over all n elements, 1 for a sum
Backward   BCE          dy = g (−t/y + (1 − t)/(1 − y)) = g (y − t) / (y (1 − y))         (3)
           With logits  d/dx log(1 + e⁻ˣ) = −σ(−x), so
                        dx = g ((1 − t) − (1 + (w − 1) t) σ(−x))                 (4)   w = 1: g (σ(x) − t)
Cache      y or x, t
Stability  (1) cuts each logarithm at −100 and (3) the divisor at 10⁻¹², as PyTorch does; (2) and (4) need no cuts,
           log(1 + e⁻ˣ) = log(1 + e^−|x|) + max(−x, 0).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from manualbp_kernels.loss import bce, bce_backward, bce_logits, bce_logits_backward

from ..types import Array
from .loss import Loss, constant


class BCELoss(Loss):
    """ℓ = −t log y − (1 − t) log(1 − y) for probabilities y. The mean is over all elements.

    Raises ValueError for a y outside [0, 1]. With a Sigmoid before it, BCEWithLogitsLoss is better: it cannot overflow.
    """

    def forward(self, y: Array, t: Array) -> float | Array:
        y, t = self.take(y, t)
        l = self.empty("l", y.shape, y.dtype)
        bce(l, self.total, y, t)  # (1)
        return self.give(l, t, cache=(y, t))

    def backward(self, dl: Array | None = None) -> Array:
        y, t = self.recall()
        dy = self.empty("dy", y.shape, y.dtype)
        bce_backward(dy, y, t, self.weight_of_a_term(y.size))  # (3)
        return self.chain(dy, dl)

    def check_target(self, t: Array) -> None:
        super().check_target(t)
        y = np.asarray(self.cache[0]) if self.cache else t
        if ((y < 0) | (y > 1)).any():
            raise ValueError(f"{self} expects probabilities from 0 to 1, got {y.min():g} to {y.max():g}; see BCEWithLogitsLoss")


class BCEWithLogitsLoss(Loss):
    """ℓ = −w t log σ(x) − (1 − t) log(1 − σ(x)) for logits x. The mean is over all elements.

    Args:
        reduction: "mean", "sum" or "none".
        pos_weight: w, an array that broadcasts to x's shape; None for 1.
    """

    def __init__(self, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.pos_weight = pos_weight

    def forward(self, x: Array, t: Array) -> float | Array:
        x, t = self.take(x, t)
        l = self.empty("l", x.shape, x.dtype)
        bce_logits(l, self.total, x, t, self._weight(x))  # (2)
        return self.give(l, t, cache=(x, t))

    def backward(self, dl: Array | None = None) -> Array:
        x, t = self.recall()
        dx = self.empty("dx", x.shape, x.dtype)
        bce_logits_backward(dx, x, t, self._weight(x), self.weight_of_a_term(x.size))  # (4)
        return self.chain(dx, dl)

    @property
    def pos_weight(self) -> Array:
        return self._pos_weight

    @pos_weight.setter
    def pos_weight(self, value: Any) -> None:
        self._pos_weight = constant(1.0 if value is None else value, "BCEWithLogitsLoss: pos_weight")
        self._weights = np.empty(0)  # made to measure by the next forward

    def _weight(self, x: Array) -> Array:
        if self._weights.shape != x.shape or self._weights.dtype != x.dtype:
            try:
                self._weights = self.here(np.array(np.broadcast_to(self.pos_weight, x.shape), x.dtype, order="C"))
            except ValueError:
                raise ValueError(f"{self}: pos_weight {self.pos_weight.shape} does not broadcast to {x.shape}") from None
        return self._weights
