"""gradcheck: is a hand-written backward the derivative of its forward?

For a random direction δ let f(θ) = Σ δ · layer(x; θ). Then ``backward(δ)`` claims ∂f/∂θ, and the central difference over
five points, (8 (f(θ + h) − f(θ − h)) − (f(θ + 2h) − f(θ − 2h))) / 12h, measures it: by Taylor's formula the terms in h²
cancel, what is left is of order h⁴ (float64, h ≈ ε^⅓). Where the function has a kink (ReLU at 0, a tie in a maximum) the
one-sided differences disagree however small h is: such coordinates are not counted.
Gradients of parameters accumulate: backward runs twice, and half of what it adds up is compared.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from .layer import Layer
from .losses import Loss
from .types import FLOATS, Array, as_array

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


class Check(NamedTuple):
    """The outcome of a gradient check; true if all coordinates agree.

    Attributes:
        ok: whether ``error`` is within the tolerance.
        error: the worst relative error, |analytic − numeric| / max(1, largest |numeric| of that array).
        worst: the name of that coordinate, such as ``0.weight[3, 1]``.
        analytic, numeric: the two derivatives there.
        checked, kinks: how many coordinates were compared, and how many left out at kinks.
    """

    ok: bool
    error: float
    worst: str
    analytic: float
    numeric: float
    checked: int
    kinks: int

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "gradients agree" if self.ok else "GRADIENTS DIFFER" if self.checked else "NOTHING TO COMPARE"
        left_out = f", {self.kinks} at kinks left out" if self.kinks else ""
        return (
            f"{verdict}: {self.checked} coordinates{left_out}; worst {self.worst}: "
            f"backward {self.analytic:.12g}, central difference {self.numeric:.12g}, relative error {self.error:.1e}"
        )


def gradcheck(
    layer: Layer | Loss, x: Array, target: Array | None = None, *, tolerance: float = 1e-7, seed: int = 0, at_most: int = 2000
) -> Check:
    """Compare ``backward`` with central differences for the input and every parameter. Returns a ``Check``.

    Args:
        layer: a layer or network, or a loss (then ``target`` is needed). It is copied to float64 and left alone.
        x: an input, converted to float64. Integers are refused: there is nothing to differentiate.
        tolerance: what the relative error may be.
        seed: of the random direction δ, and of which coordinates are taken if there are many.
        at_most: coordinates compared per array.
    """
    if not isinstance(layer, (Layer, Loss)):
        raise TypeError(f"gradcheck expects a layer, a network or a loss, got {layer!r}")
    rng = np.random.default_rng(seed)
    x = np.array(as_array(x), order="C")
    if x.dtype not in FLOATS:
        raise TypeError(f"gradcheck expects a float input, got {x.dtype}")
    x = x.astype(np.float64)
    function = _LossOf(layer, target) if isinstance(layer, Loss) else _LayerOf(layer)
    delta = rng.standard_normal(np.shape(function.value(x)))
    arrays = function.gradients(x, delta)

    def f() -> float:
        return float((delta * function.value(x)).sum())

    here = f()
    worst = Check(True, 0.0, "none", 0.0, 0.0, 0, 0)
    checked = kinks = 0
    for name, array, analytic in arrays:
        if analytic.shape != array.shape:
            return Check(
                False, np.inf, f"{name}: gradient of shape {analytic.shape}, not {array.shape}", 0.0, 0.0, checked, kinks
            )
        coordinates = rng.permutation(array.size)[:at_most]
        numeric = np.array([_difference(f, here, array.reshape(-1), i) for i in coordinates])
        kinks += int(np.isnan(numeric).sum())
        checked += int(np.isfinite(numeric).sum())
        claimed = analytic.reshape(-1)[coordinates]
        scale = max(1.0, float(np.nanmax(np.abs(numeric), initial=0.0)))
        errors = np.where(np.isnan(numeric), 0.0, np.abs(claimed - numeric) / scale)
        errors[np.isnan(claimed)] = np.inf
        k = int(errors.argmax()) if errors.size else 0
        if errors.size and (errors[k] > worst.error or worst.worst == "none"):
            index = ", ".join(map(str, map(int, np.unravel_index(coordinates[k], array.shape))))
            worst = Check(
                bool(errors[k] <= tolerance), float(errors[k]), f"{name}[{index}]", float(claimed[k]), float(numeric[k]), 0, 0
            )
    return worst._replace(checked=checked, kinks=kinks, ok=worst.error <= tolerance and checked > 0)


def _difference(f: Any, here: float, flat: Array, i: int) -> float:
    """∂f/∂flat[i] by the five-point central difference, NaN at a kink."""
    before = flat[i]
    h = STEP * max(1.0, abs(before))
    values = []
    for k in (-2, -1, 1, 2):
        flat[i] = before + k * h
        values.append(f())
    flat[i] = before
    far_left, left, right, far_right = values
    one_sided = (here - left) / h, (right - here) / h
    curvature = max(abs(right - 2 * here + left), abs(far_right - 2 * right + here), abs(far_left - 2 * left + here)) / h**2
    size = max(1.0, abs(one_sided[0]), abs(one_sided[1]))
    if abs(one_sided[0] - one_sided[1]) > 1e-3 * size or curvature * h > 1e-2 * size:
        return float("nan")
    return float((8 * (right - left) - (far_right - far_left)) / (12 * h))


class _LayerOf:
    """A float64 copy of a layer; every evaluation starts from the same random counters."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer.astype(np.float64).train(layer.training)
        self.layer.zero_grad()
        self.counters = [(m, name, getattr(m, name).copy()) for m in self.layer.modules() for name in m.state]

    def value(self, x: Array) -> Array:
        for module, name, start in self.counters:
            getattr(module, name)[...] = start
        return self.layer.forward(x)

    def gradients(self, x: Array, delta: Array) -> list[tuple[str, Array, Array]]:
        for _ in range(2):  # gradients accumulate, so twice must give the double
            self.value(x)
            dx = np.array(self.layer.backward(delta))
        return [("x", x, dx)] + [(p.name, p.value, p.grad / 2) for p in self.layer.parameters()]


class _LossOf:
    """A loss with its target, as a function of the prediction."""

    def __init__(self, loss: Loss, target: Array | None) -> None:
        if target is None:
            raise TypeError("gradcheck of a loss needs its target")
        self.loss = copy.deepcopy(loss)
        target = np.asarray(target)
        self.target = target.astype(np.float64) if target.dtype.kind == "f" else target

    def value(self, x: Array) -> Array:
        return np.asarray(self.loss.forward(x, self.target))

    def gradients(self, x: Array, delta: Array) -> list[tuple[str, Array, Array]]:
        self.value(x)
        if delta.ndim:
            return [("x", x, np.array(self.loss.backward(delta)))]
        return [("x", x, float(delta) * self.loss.backward())]
