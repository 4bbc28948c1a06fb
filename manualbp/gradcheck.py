"""gradcheck: is a hand-written backward the derivative of its forward?

For a random direction δ let f(θ) = Σ δ · layer(x; θ). Then ``backward(δ)`` claims ∂f/∂θ, and one of two methods measures it:

central    over five points, (8 (f(θ + h) − f(θ − h)) − (f(θ + 2h) − f(θ − 2h))) / 12h: by Taylor's formula the terms in h²
           cancel, what is left is of order h⁴ (float64, h ≈ ε^⅓). Where the function has a kink (ReLU at 0, a tie in a
           maximum) the one-sided differences disagree however small h is: such coordinates are not counted.
complex    one complex step, Im f(θ + ih) / h: f(θ + ih) = f(θ) + ih f′(θ) − h²/2 f″(θ) − …, nothing is subtracted, so h may
           be 10⁻²⁰ and the result is exact to rounding. Only for a forward that is analytic and carries complex numbers.

Gradients of parameters accumulate: backward runs twice, and half of what it adds up is compared.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from manualbp_kernels import backend

from .layer import Layer
from .losses import Loss
from .types import FLOATS, Array, DTypeLike, as_array, float_dtype

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
COMPLEX_STEP = 1e-20
TOLERANCES = {"central": 1e-7, "complex": 1e-12}
FLOAT32_TOLERANCE = 1e-5  # of a backward in float32, whose own rounding is what is left

Derivative = Callable[[int, int], float]  # of f, by one element of one of the arrays


class Check(NamedTuple):
    """The outcome of a gradient check; true if all coordinates agree.

    Attributes:
        ok: whether ``error`` is within the tolerance.
        error: the worst relative error, |analytic − numeric| / max(1, largest |numeric| of that array).
        worst: the name of that coordinate, such as ``0.weight[3, 1]``.
        analytic, numeric: the two derivatives there.
        checked, kinks: how many coordinates were compared, and how many left out at kinks.
        parts: the same for each array, the input first.
    """

    ok: bool
    error: float
    worst: str
    analytic: float
    numeric: float
    checked: int
    kinks: int
    parts: tuple[Check, ...] = ()

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "gradients agree" if self.ok else "GRADIENTS DIFFER" if self.checked else "NOTHING TO COMPARE"
        left_out = f", {self.kinks} at kinks left out" if self.kinks else ""
        return (
            f"{verdict}: {self.checked} coordinates{left_out}; worst {self.worst}: "
            f"backward {self.analytic:.12g}, measured {self.numeric:.12g}, relative error {self.error:.1e}"
        )

    def report(self) -> str:
        """A table with a line for each array, and the verdict below it."""
        head = f"{'worst coordinate':<28} {'backward':>15} {'measured':>15} {'error':>9} {'compared':>9} {'kinks':>6}"
        lines = [
            f"{part.worst:<28} {part.analytic:>15.8g} {part.numeric:>15.8g} {part.error:>9.1e}"
            f" {part.checked:>9} {part.kinks:>6}"
            + ("" if part.ok else "   DIFFERS" if part.checked or part.error else "   nothing compared")
            for part in self.parts
        ]
        return "\n".join([head, *lines, "", str(self)])


def gradcheck(
    layer: Layer | Loss,
    x: Array,
    target: Array | None = None,
    *,
    tolerance: float | None = None,
    seed: int = 0,
    at_most: int = 2000,
    method: str = "central",
    dtype: DTypeLike = np.float64,
    place: str = "cpu",
) -> Check:
    """Compare ``backward`` with a measured derivative for the input and every parameter. Returns a ``Check``.

    Args:
        layer: a layer or network, or a loss (then ``target`` is needed). It is copied and left alone.
        x: an input, converted to ``dtype``. Integers are refused: there is nothing to differentiate.
        tolerance: what the relative error may be; 1e-7, with a complex step 1e-12, for float32 1e-5.
        seed: of the random direction δ, and of which coordinates are taken if there are many.
        at_most: coordinates compared per array.
        method: "central" differences, or "complex" for a complex step. With the latter forward runs on complex numbers,
            kernels by their NumPy definitions; TypeError if it does not carry them.
        dtype: that backward computes in. The derivative it is compared with is always measured in float64.
        place: "cpu", or "cuda" for backward on the GPU; the derivative it is compared with is always measured on the host.
    """
    if not isinstance(layer, (Layer, Loss)):
        raise TypeError(f"gradcheck expects a layer, a network or a loss, got {layer!r}")
    if method not in TOLERANCES:
        raise ValueError(f"gradcheck: method must be one of {', '.join(TOLERANCES)}, got {method!r}")
    rng = np.random.default_rng([seed, 1])  # not default_rng(seed), whose first numbers may well be the user's x
    dtype = float_dtype(dtype)
    x = np.array(as_array(x), order="C")
    if x.dtype not in FLOATS:
        raise TypeError(f"gradcheck expects a float input, got {x.dtype}")
    x = x.astype(dtype)
    claiming = _LossOf(layer, target, dtype) if isinstance(layer, Loss) else _LayerOf(layer, dtype)
    exact, x64 = claiming.exact(), x.astype(np.float64)
    delta = rng.standard_normal(np.shape(exact.value(x64))).astype(dtype)
    arrays = exact.arrays(x64)
    if place != "cpu":
        if isinstance(claiming, _LossOf):
            raise TypeError("gradcheck: a loss computes where its input lies, only a layer can be sent elsewhere")
        moving: Any = claiming.layer
        moving.to(place)
    claims = claiming.gradients(x, delta)
    if tolerance is None:
        tolerance = FLOAT32_TOLERANCE if dtype == np.float32 else TOLERANCES[method]
    measure = {"central": _central, "complex": _complex}[method](exact, x64, delta.astype(np.float64))

    parts = []
    for k, ((name, array), analytic) in enumerate(zip(arrays, claims, strict=True)):
        if analytic.shape != array.shape:
            what = f"{name}: gradient of shape {analytic.shape}, not {array.shape}"
            parts.append(Check(False, np.inf, what, 0.0, 0.0, 0, 0))
            break
        coordinates = rng.permutation(array.size)[:at_most]
        with np.errstate(invalid="ignore"):
            numeric = np.array([measure(k, i) for i in coordinates])
        parts.append(_compare(name, array.shape, coordinates, analytic.reshape(-1)[coordinates], numeric, tolerance))
    worst = max(parts, key=lambda part: part.error)
    checked, kinks = sum(part.checked for part in parts), sum(part.kinks for part in parts)
    return worst._replace(checked=checked, kinks=kinks, ok=worst.error <= tolerance and checked > 0, parts=tuple(parts))


def _compare(name: str, shape: tuple[int, ...], coordinates: Array, claimed: Array, numeric: Array, tolerance: float) -> Check:
    """The two derivatives of one array; a NaN in ``numeric`` is a kink."""
    kinks = np.isnan(numeric)
    scale = max(1.0, float(np.abs(numeric[~kinks]).max(initial=0.0)))
    errors = np.where(kinks, 0.0, np.abs(claimed - numeric) / scale)
    errors[np.isnan(claimed)] = np.inf
    k = int(errors.argmax())
    index = ", ".join(map(str, map(int, np.unravel_index(coordinates[k], shape))))
    error, checked = float(errors[k]), int(np.isfinite(numeric).sum())
    return Check(
        error <= tolerance and checked > 0,
        error,
        f"{name}[{index}]",
        float(claimed[k]),
        float(numeric[k]),
        checked,
        int(kinks.sum()),
    )


# ---------------------------------------------------------------------- what measures


def _central(function: _LayerOf | _LossOf, x: Array, delta: Array) -> Derivative:
    arrays = [array.reshape(-1) for _, array in function.arrays(x)]

    def f() -> float:
        return float((delta * function.value(x)).sum())

    here = f()
    return lambda k, i: _difference(f, here, arrays[k], i)


def _difference(f: Callable[[], float], here: float, flat: Array, i: int) -> float:
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


def _complex(function: _LayerOf | _LossOf, x: Array, delta: Array) -> Derivative:
    """The complex step, after a look at whether ``function`` carries complex numbers; TypeError if not."""
    carrier, z = function.carrier(), x.astype(np.complex128)
    arrays = [array for _, array in carrier.arrays(z)]

    def along(k: int, direction: Any) -> Array:
        """Im layer(θ + ih·direction) / h."""
        before = arrays[k].copy()
        arrays[k] += 1j * COMPLEX_STEP * direction
        try:
            with backend("reference"), warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                return np.array(np.imag(carrier.value(z)) / COMPLEX_STEP)
        finally:
            arrays[k][...] = before

    _look_whether_complex(function, x, along)

    def derivative(k: int, i: int) -> float:
        one = np.zeros(arrays[k].size)
        one[i] = 1.0
        return float((delta * along(k, one.reshape(arrays[k].shape))).sum())

    return derivative


def _look_whether_complex(function: _LayerOf | _LossOf, x: Array, along: Callable[[int, Any], Array]) -> None:
    """TypeError unless, along a random direction of each array, the complex step sees what central differences see.

    An abs, a comparison, a maximum of magnitudes or a cast to real numbers drops the imaginary part without a word.
    """
    rng = np.random.default_rng(0)
    for k, (name, array) in enumerate(function.arrays(x)):
        direction, before = rng.standard_normal(array.shape), array.copy()
        array += STEP * direction
        right = np.array(function.value(x))
        array[...] = before - STEP * direction
        left = np.array(function.value(x))
        array[...] = before
        slope = (right - left) / (2 * STEP)
        try:
            agree = np.allclose(along(k, direction), slope, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(slope).max())))
        except Exception as error:
            reason = (str(error).strip() or "no message").splitlines()[0]
            raise TypeError(
                f"{function} does not take complex numbers ({type(error).__name__}: {reason}): use method='central'"
            ) from None
        if not agree:
            raise TypeError(
                f"{function} loses the imaginary part of {name} on the way (an abs, a comparison, a real part), or is not "
                f"analytic: use method='central'"
            )


# ---------------------------------------------------------------------- what is measured


class _LayerOf:
    """A copy of a layer in one dtype; every evaluation starts from the same random counters."""

    def __init__(self, layer: Layer, dtype: DTypeLike) -> None:
        self.layer = layer.astype(dtype).train(layer.training)
        self.layer.zero_grad()
        self.counters = [(m, name, getattr(m, name).copy()) for m in self.layer.modules() for name in m.state]

    def value(self, x: Array) -> Array:
        for module, name, start in self.counters:
            getattr(module, name)[...] = start
        return self.layer.forward(x)

    def arrays(self, x: Array) -> list[tuple[str, Array]]:
        return [("x", x)] + [(p.name, p.value) for p in self.layer.parameters()]

    def gradients(self, x: Array, delta: Array) -> list[Array]:
        for _ in range(2):  # gradients accumulate, so twice must give the double
            self.value(x)
            dx = np.array(self.layer.backward(delta))
        return [dx] + [np.array(p.grad) / 2 for p in self.layer.parameters()]

    def exact(self) -> _LayerOf:
        """The same numbers in float64."""
        return _LayerOf(self.layer, np.float64)

    def carrier(self) -> _LayerOf:
        """The same numbers as complex ones: forward alone works."""
        twin = copy.deepcopy(self)
        for module in twin.layer.modules():
            module.dtype = np.dtype(np.complex128)
            for attribute in module.weights:
                if module.__dict__[attribute] is not None:
                    module.__dict__[attribute] = module.__dict__[attribute].astype(np.complex128)
        return twin

    def __repr__(self) -> str:
        return f"the forward of {self.layer}"


class _LossOf:
    """A loss with its target, as a function of the prediction."""

    def __init__(self, loss: Loss, target: Array | None, dtype: DTypeLike) -> None:
        if target is None:
            raise TypeError("gradcheck of a loss needs its target")
        self.loss = copy.deepcopy(loss)
        target = np.asarray(target)
        self.target = target.astype(dtype) if target.dtype.kind == "f" else target

    def value(self, x: Array) -> Array:
        return np.asarray(self.loss.forward(x, self.target))

    def arrays(self, x: Array) -> list[tuple[str, Array]]:
        return [("x", x)]

    def gradients(self, x: Array, delta: Array) -> list[Array]:
        self.value(x)
        if delta.ndim:
            return [np.array(self.loss.backward(delta))]
        return [float(delta) * self.loss.backward()]

    def exact(self) -> _LossOf:
        return _LossOf(self.loss, self.target, np.float64)

    def carrier(self) -> _LossOf:
        raise TypeError(f"{self.loss} adds its terms up as real numbers: check a loss with method='central'")
