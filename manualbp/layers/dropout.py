"""Dropout:  y = m ∘ x

Shapes     x, y, m any shape, the same
Forward    m[i] = 0 with probability p, else 1/(1 − p), independently:  y[i] = m[i] x[i]        (1)
           The factor keeps E[y] = x, so that evaluation needs none: there y = x                (2)
Backward   m is a constant once drawn and ∂y[i]/∂x[i] = m[i], so with δ = ∂L/∂y
             dx[i] = m[i] δ[i]                                                                  (3)   the same mask
Cache      m
Source     Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014)
"""

from __future__ import annotations

import numpy as np

from manualbp_kernels.elementwise import multiply
from manualbp_kernels.random import dropout

from ..layer import Layer, probability
from ..random import generator
from ..types import Array


class Dropout(Layer):
    """Zero each element with probability ``p`` and scale the rest by 1/(1 − p) while training; pass all in evaluation.

    The mask is a function of ``counter``, a key and a position in its random stream (Philox): the same seed gives
    the same masks, whatever computes them.
    """

    state = ("counter",)

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = probability(p, "Dropout: p")
        self.counter = np.array([generator().integers(2**63), 0], np.uint64)

    def forward(self, x: Array) -> Array:
        x = self.take(x)
        if not self.training:
            return x  # (2)
        y = self.empty("y", x.shape, x.dtype)
        mask = self.empty("mask", x.shape, x.dtype)
        dropout(y, mask, self.counter, x, self.p)  # (1)
        return self.give(y, cache=(mask,))

    def backward(self, dy: Array) -> Array:
        (mask,), dy = self.recall(dy)
        dx = self.empty("dx", mask.shape, mask.dtype)
        multiply(dx, dy, mask)  # (3)
        return dx

    def describe(self) -> str:
        return f"{self.p:g}"
