"""CrossEntropyLoss, NLLLoss: how surprised a distribution over K classes is by the class that came

Shapes     x (N, K) or (N, K, d₁, …)    t (N) or (N, d₁, …) classes as integers, or probabilities of x's shape
           p, q as x    ℓ as the integer t.  Below, one column: k runs over the classes, w[k] are their weights
Forward    log p[k] = x[k] − log Σ_j e^x[j]                                      (1)   NLLLoss gets log p as its input
           The target as weights on the classes, with smoothing ε:
             q[k] = w[k] ((1 − ε) [k = t] + ε/K),  all 0 where t is ignored      (2)
             q[k] = w[k] ((1 − ε) t[k] + ε/K) for probabilities t                (3)
           ℓ = −Σ_k q[k] log p[k]                                                (4)
           L = Σ ℓ / n for a mean, n = Σ w[t] over the targets that count, or for probabilities the number of columns
Backward   Of (4) by log p, which is all for NLLLoss:
             ∂L/∂log p[k] = −q[k] / n                                            (5)
           From (1), ∂log p[j]/∂x[k] = [j=k] − p[k], so
             dx[k] = −Σ_j q[j] ([j=k] − p[k]) / n = (p[k] Σ_j q[j] − q[k]) / n   (6)   unweighted: (p − t)/N
Cache      log p, q
Stability  The largest x is subtracted before any exponential; p is never formed before its logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from manualbp_kernels.elementwise import fill
from manualbp_kernels.loss import class_targets, cross_entropy_backward, nll, nll_backward, probability_targets
from manualbp_kernels.softmax import log_softmax

from ..layer import integer, probability
from ..layers.softmax import split
from ..types import FLOATS, Array, Shape, contiguous
from .loss import Loss, constant


class _ClassLoss(Loss):
    """What both losses share: targets, class weights, ignored targets."""

    def __init__(
        self, weight: Any = None, reduction: str = "mean", ignore_index: int = -100, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(reduction)
        self.weight = weight
        self.ignore_index = integer(ignore_index, f"{type(self).__name__}: ignore_index", None)
        self.label_smoothing = probability(label_smoothing, f"{type(self).__name__}: label_smoothing")
        self._norm = np.ones(1)
        self._one = np.ones(1)

    @property
    def weight(self) -> Array | None:
        return self._weight

    @weight.setter
    def weight(self, value: Any) -> None:
        self._weight = None if value is None else constant(value, f"{type(self).__name__}: weight")
        self._weights: Array | None = None  # made to measure by the next forward

    def take_classes(self, x: Any, t: Any) -> tuple[Array, Array, Shape]:
        """Prediction and target, checked, and the (outer, K, inner) form of the prediction."""
        x = self.take_prediction(x)
        if x.ndim < 2:
            raise ValueError(f"{self} expects a prediction of shape (N, classes) or (N, classes, …), got {x.shape}")
        t = self.here(self._array(t))
        indices = (x.shape[0], *x.shape[2:])
        if t.dtype in FLOATS and t.shape == x.shape and self.takes_probabilities:
            if t.dtype != x.dtype:
                raise TypeError(f'{self} expects probabilities of dtype {x.dtype}, got {t.dtype}: t.astype("{x.dtype}")')
            t = contiguous(t, x.dtype)
        elif t.dtype.kind not in "iu":
            raise TypeError(f"{self} expects classes as integers of shape {indices}, got {t.dtype} of shape {t.shape}")
        elif t.shape != indices:
            raise ValueError(f"{self} expects classes of shape {indices}, got {t.shape}")
        else:
            t = contiguous(t, np.int64)
        if self._weights is None or self._weights.shape != (x.shape[1],) or self._weights.dtype != x.dtype:
            if self.weight is not None and self.weight.shape != (x.shape[1],):
                raise ValueError(f"{self} has {self.weight.shape} class weights, the prediction {x.shape[1]} classes")
            weights = np.ones(x.shape[1], x.dtype) if self.weight is None else self.weight.astype(x.dtype)
            self._weights = self.here(weights)
        return x, t if t.flags.carray else t.copy(), split(x.shape, 1)

    takes_probabilities = False

    def targets(self, q: Array, t: Array) -> float:
        """Write the target's weights into q; returns what a mean divides by."""
        if t.dtype in FLOATS:
            probability_targets(q, t.reshape(q.shape), self._weights, self.label_smoothing)  # (3)
            fill(self._norm, float(q.shape[0] * q.shape[2]))
        else:
            columns = t.reshape(q.shape[0], q.shape[2])
            class_targets(q, self._norm, columns, self._weights, self.label_smoothing, self.ignore_index)  # (2)
        return float(self._norm[0])

    def check(self, y: Array, t: Array) -> None:
        self.take_classes(y, t[: len(y)])
        self.check_target(np.asarray(t))

    def norm(self) -> Array:
        return self._norm if self.reduction == "mean" else self._one

    def check_target(self, t: Array) -> None:
        """ValueError if the target has a NaN, a class that does not exist, or nothing that counts."""
        if t.dtype in FLOATS:
            return super().check_target(t)
        K = 0 if self._weights is None else len(self._weights)
        counted = t != self.ignore_index
        wrong = counted & ((t < 0) | (t >= K))
        if wrong.any():
            where = tuple(map(int, np.argwhere(wrong)[0]))
            raise ValueError(f"{self} expects classes from 0 to {K - 1}, the target is {t[where]} at {where}")
        if not counted.any():
            raise ValueError(f"{self}: every target is ignore_index {self.ignore_index}, a mean over none")


class CrossEntropyLoss(_ClassLoss):
    """ℓ = −Σ_k q[k] log softmax(x)[k]: logits in, no Softmax before it.

    Args:
        weight: (K,), a weight per class; None for ones.
        reduction: "mean" divides by Σ w[t] over the targets that are not ignored (for probabilities by the number of
            columns: N, or N·d₁·…), as PyTorch does.
        ignore_index: an integer target that does not count.
        label_smoothing: ε, this share of the target is spread evenly over all classes.

    The target is integers (N) or (N, d₁, …), or probabilities of the prediction's shape.
    """

    takes_probabilities = True

    def forward(self, x: Array, t: Array) -> float | Array:
        x, t, groups = self.take_classes(x, t)
        logp, q = self.empty("logp", groups, x.dtype), self.empty("q", groups, x.dtype)
        l = self.empty("l", (groups[0], groups[2]), x.dtype)
        log_softmax(logp, x.reshape(groups))  # (1)
        norm = self.targets(q, t)  # (2) (3)
        nll(l, self.total, logp, q)  # (4)
        return self.give(l.reshape(x.shape[0], *x.shape[2:]), t, cache=(logp, q, x.shape), count=norm)

    def backward(self, dl: Array | None = None) -> Array:
        logp, q, shape = self.recall()
        dx = self.empty("dx", q.shape, q.dtype)
        cross_entropy_backward(dx, logp, q, self.norm())  # (6)
        return self.chain(dx, dl, (q.shape[0], 1, q.shape[2])).reshape(shape)


class NLLLoss(_ClassLoss):
    """ℓ = −w[t] x[t]: log probabilities in, from LogSoftmax. Arguments as CrossEntropyLoss; integer targets only."""

    def __init__(self, weight: Any = None, reduction: str = "mean", ignore_index: int = -100) -> None:
        super().__init__(weight, reduction, ignore_index)

    def forward(self, x: Array, t: Array) -> float | Array:
        x, t, groups = self.take_classes(x, t)
        q = self.empty("q", groups, x.dtype)
        l = self.empty("l", (groups[0], groups[2]), x.dtype)
        norm = self.targets(q, t)  # (2)
        nll(l, self.total, x.reshape(groups), q)  # (4)
        return self.give(l.reshape(x.shape[0], *x.shape[2:]), t, cache=(q, x.shape), count=norm)

    def backward(self, dl: Array | None = None) -> Array:
        q, shape = self.recall()
        dx = self.empty("dx", q.shape, q.dtype)
        nll_backward(dx, q, self.norm())  # (5)
        return self.chain(dx, dl, (q.shape[0], 1, q.shape[2])).reshape(shape)
