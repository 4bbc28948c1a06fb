"""Loss: the protocol that every loss follows.

    value = loss(y, t)        a float (an array with reduction="none"); keeps what backward needs
    dy = loss.backward()      ∂L/∂y, the δ that ``net.backward`` starts from

A loss is an array of terms ℓ that is then reduced. ``reduction`` is PyTorch's:

    "mean"   L = Σ ℓ / n,  n stated in each loss's docstring
    "sum"    L = Σ ℓ
    "none"   the ℓ themselves; backward then takes ∂L/∂ℓ (ones if it gets none)
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from manualbp_kernels.elementwise import multiply

from ..types import FLOATS, Array, Shape, as_array
from ..workspace import Workspace


class Loss(Workspace):
    """The base of all losses. A subclass writes ``forward``, whose kernel puts Σ ℓ into ``total``, and ``backward``.

    Args:
        reduction: "mean", "sum" or "none".
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self.reductions:
            raise ValueError(f"{type(self).__name__}: reduction must be one of {', '.join(self.reductions)}, got {reduction!r}")
        self.reduction = reduction
        self.cache: tuple[Any, ...] | None = None
        self.total = np.zeros(1)
        self._shape: Shape = ()
        self._divisor: float = 1

    def forward(self, y: Array, t: Array) -> float | Array:
        """L from the prediction y and the target t."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dl: Array | None = None) -> Array:
        """∂L/∂y for the last forward; ``dl`` is ∂L/∂ℓ where reduction is "none"."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def __call__(self, y: Array, t: Array) -> Any:
        return self.forward(y, t)

    def take(self, y: Any, t: Any) -> tuple[Array, Array]:
        """Prediction and target as contiguous float arrays of one shape and dtype; ValueError or TypeError if not."""
        y = self.take_prediction(y)
        if type(t) is not type(y):
            t = self.here(np.array(t, y.dtype) if isinstance(t, (list, tuple, float)) else self._array(t))
        if t.shape != y.shape:
            raise ValueError(f"{self} expects a target of the prediction's shape {y.shape}, got {t.shape}; see reshape")
        if t.dtype != y.dtype:
            raise TypeError(
                f'{self} expects a target of the prediction\'s dtype {y.dtype}, got {t.dtype}: t.astype("{y.dtype}")'
            )
        return y, t if t.flags.carray else np.array(t, order="C")

    def take_prediction(self, y: Any) -> Array:
        """The prediction as a contiguous float array. What an earlier forward has cached is gone."""
        self.cache = None
        if type(y) is not ndarray:
            y = self.follow(np.asarray(y, np.float32) if isinstance(y, (list, tuple, float)) else self._array(y))
        if y.dtype not in FLOATS:
            raise TypeError(f"{self} expects a prediction of float32 or float64, got {y.dtype}")
        if not y.size:
            raise ValueError(f"{self} got an empty prediction of shape {y.shape}")
        return y if y.flags.carray else np.array(y, order="C")

    def _array(self, x: Any) -> Array:
        try:
            return as_array(x)
        except TypeError as error:
            raise TypeError(f"{self}: {error}") from None

    def give(self, l: Array, t: Array, cache: tuple[Any, ...], count: float | None = None) -> float | Array:
        """Reduce the terms and keep the cache. A NaN makes it look whether the target is to blame: ValueError."""
        self.cache, self._shape = cache, l.shape
        value: float = self.total.item()
        if self.reduction != "sum":
            self._divisor = l.size if count is None else count
            value = value / self._divisor if count != 0 else math.nan
        if value != value:
            self._blame(t)
        return l if self.reduction == "none" else value

    def recall(self) -> tuple[Any, ...]:
        """The cache, which is then used up."""
        if self.cache is None:
            raise RuntimeError(f"{self}: backward needs a forward of its own before it")
        cache, self.cache = self.cache, None
        return cache

    def norm(self) -> Array:
        """What the last forward divided Σ ℓ by, in an array of one: a replay reads it there."""
        return np.array([self._divisor if self.reduction != "sum" else 1], np.float64)

    def weight_of_a_term(self, count: int) -> float:
        """∂L/∂ℓ: 1/count for a mean, else 1."""
        return 1.0 / count if self.reduction in ("mean", "batchmean") else 1.0

    def chain(self, dy: Array, dl: Array | None, form: Shape | None = None) -> Array:
        """``dy`` times ∂L/∂ℓ, which only an unreduced loss is given; ``form`` is how ℓ must be read beside ``dy``."""
        if dl is None:
            return dy
        dl = self._array(dl)
        if dl.dtype.kind not in "fiu":
            raise TypeError(f"{self}: ∂L/∂ℓ must be numbers, got {dl.dtype}")
        if self.reduction != "none":
            raise ValueError(f"{self}: backward takes ∂L/∂ℓ only with reduction='none'")
        if dl.shape not in ((), self._shape):
            raise ValueError(f"{self}: ∂L/∂ℓ must have the shape of ℓ, {self._shape}, got {dl.shape}")
        dl = np.broadcast_to(dl, self._shape).reshape(form or dy.shape)
        multiply(dy, dy, self.here(np.ascontiguousarray(np.broadcast_to(dl, dy.shape), dy.dtype)))
        return dy

    def check(self, y: Array, t: Array) -> None:
        """Raise what any sample of the targets t would raise, given the prediction y for the first one."""
        self.take(y, t[: len(y)])
        self.check_target(np.asarray(t))

    def _blame(self, t: Array) -> None:
        """ValueError if the input explains a NaN; a diverged prediction stays the user's to see."""
        try:
            self.check_target(np.asarray(t))
        except ValueError:
            self.cache = None
            raise

    def check_target(self, t: Array) -> None:
        """ValueError if the target holds a NaN."""
        if np.isnan(t).any():
            where = tuple(map(int, np.argwhere(np.isnan(t))[0]))
            raise ValueError(f"{self}: the target is NaN at {where}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.reduction == 'mean' else self.reduction})"


def constant(value: Any, what: str) -> Array:
    """A read-only float64 copy of ``value``; TypeError that begins with ``what`` if it is not made of numbers."""
    array = as_array(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} must be numbers, got {array.dtype}")
    array = array.astype(np.float64)
    array.flags.writeable = False
    return array
