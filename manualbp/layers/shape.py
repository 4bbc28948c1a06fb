"""Flatten, Reshape, LastStep: the same numbers under other indices

Shapes     Flatten    x (N, d₁, …)  y (N, d₁·…)        Reshape    x (N, …)  y (N, *shape)
           LastStep   x (N, T, D)   y (N, D), or x (T, N, D) when time comes first
Forward    Flatten, Reshape   y is x, read in the same order under another shape      (1)
           LastStep           y[n,d] = x[n,T−1,d]                                     (2)
Backward   Let δ = ∂L/∂y. Where elements only move, their gradients move back:
           Flatten, Reshape   dx is δ under x's shape                                 (3)
           LastStep           dx[n,t,d] = δ[n,d] for t = T−1, else 0: the other steps do not reach y     (4)
Cache      the shape of x
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from manualbp_kernels.elementwise import put_step, take_step

from ..layer import Layer, integer
from ..types import Array


class Flatten(Layer):
    """Keep the axes before ``start_dim`` and join those up to ``end_dim``: (N, C, H, W) becomes (N, C·H·W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = (
            integer(start_dim, "Flatten: start_dim", None),
            integer(end_dim, "Flatten: end_dim", None),
        )

    def forward(self, x: Array) -> Array:
        x = self.take(x)
        first, last = (axis + x.ndim if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < x.ndim:
            raise self.misfit(f"(…) with axes {self.start_dim} to {self.end_dim}", x)
        joined = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
        return self.give(x.reshape(joined), cache=(x.shape,))  # (1)

    def backward(self, dy: Array) -> Array:
        (shape,), dy = self.recall(dy)
        return dy.reshape(shape)  # (3)

    def describe(self) -> str:
        return "" if (self.start_dim, self.end_dim) == (1, -1) else f"{self.start_dim}, {self.end_dim}"


class Reshape(Layer):
    """Give every sample the shape ``shape``; one of its numbers may be −1. The batch axis stays."""

    def __init__(self, *shape: int | Sequence[int]) -> None:
        super().__init__()
        numbers = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        self.shape = tuple(integer(n, "Reshape: a length", -1) for n in numbers)
        if self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: one length may be -1, got {self.shape}")

    def forward(self, x: Array) -> Array:
        x = self.take(x)
        try:
            y = x.reshape(x.shape[0], *self.shape)  # (1)
        except (ValueError, IndexError):
            raise self.misfit(f"(N, …) with samples that fill {self.shape}", x) from None
        return self.give(y, cache=(x.shape,))

    def backward(self, dy: Array) -> Array:
        (shape,), dy = self.recall(dy)
        return dy.reshape(shape)  # (3)

    def describe(self) -> str:
        return ", ".join(map(str, self.shape))


class LastStep(Layer):
    """The last time step of a sequence, what a recurrent layer says after it has read everything.

    Args:
        batch_first: whether x is (N, T, D) or (T, N, D); give it what the recurrent layer got.
    """

    def __init__(self, batch_first: bool = False) -> None:
        super().__init__()
        self.batch_first = batch_first

    def forward(self, x: Array) -> Array:
        x = self.take(x, 3, "(N, T, D)" if self.batch_first else "(T, N, D)")
        if not self.batch_first:
            return self.give(x[-1], cache=(x.shape,))  # (2)
        y = self.empty("y", (x.shape[0], x.shape[2]), x.dtype)
        take_step(y, x, x.shape[1] - 1)  # (2)
        return self.give(y, cache=(x.shape,))

    def backward(self, dy: Array) -> Array:
        (shape,), dy = self.recall(dy)
        dx = self.empty("dx", shape, dy.dtype)
        if self.batch_first:
            put_step(dx, dy, shape[1] - 1)  # (4)
        else:
            put_step(dx.reshape(1, shape[0], -1), dy.reshape(1, -1), shape[0] - 1)  # (4)
        return dx

    def describe(self) -> str:
        return "batch_first" if self.batch_first else ""
