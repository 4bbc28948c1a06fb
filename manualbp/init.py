"""Initial weights. Each function returns a new array and draws from the library's Generator.

For W of shape (out, in, *kernel) fan_in = in · ∏kernel numbers reach one output, and fan_out = out · ∏kernel outputs
are reached by one input. Keeping E[y²] = E[x²] through a layer wants Var W = gain²/fan_in; keeping gradients wants
gain²/fan_out.

Sources: LeCun et al., "Efficient BackProp" (1998); Glorot and Bengio, "Understanding the difficulty of training
deep feedforward neural networks" (2010); He et al., "Delving deep into rectifiers" (2015); Saxe et al., "Exact
solutions to the nonlinear dynamics of learning in deep linear neural networks" (2013).
"""

from __future__ import annotations

import math

import numpy as np

from .random import generator
from .types import Array, DTypeLike, Shape, float_dtype


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of this shape; ValueError below two axes or for an empty one."""
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"fan_in and fan_out need a weight that is not empty, of at least two axes, got shape {shape}")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


def gain(nonlinearity: str, slope: float = 0.01) -> float:
    """The factor that makes up for what a nonlinearity takes from the variance (PyTorch's table)."""
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope * slope)),
        "selu": 3 / 4,
    }
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def uniform(shape: Shape, low: float, high: float, dtype: DTypeLike = np.float32) -> Array:
    """U(low, high)."""
    return generator().uniform(low, high, shape).astype(float_dtype(dtype))


def normal(shape: Shape, mean: float, std: float, dtype: DTypeLike = np.float32) -> Array:
    """N(mean, std²)."""
    return generator().normal(mean, std, shape).astype(float_dtype(dtype))


def xavier_uniform(shape: Shape, gain: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
    """U(−a, a) with a = gain √(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6 / sum(fans(shape)))
    return uniform(shape, -bound, bound, dtype)


def xavier_normal(shape: Shape, gain: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
    """N(0, s²) with s = gain √(2 / (fan_in + fan_out))."""
    return normal(shape, 0, gain * math.sqrt(2 / sum(fans(shape))), dtype)


def kaiming_uniform(
    shape: Shape, slope: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", dtype: DTypeLike = np.float32
) -> Array:
    """U(−a, a) with a = gain √(3 / fan)."""
    bound = gain(nonlinearity, slope) * math.sqrt(3 / _fan(shape, mode))
    return uniform(shape, -bound, bound, dtype)


def kaiming_normal(
    shape: Shape, slope: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", dtype: DTypeLike = np.float32
) -> Array:
    """N(0, s²) with s = gain / √fan."""
    return normal(shape, 0, gain(nonlinearity, slope) / math.sqrt(_fan(shape, mode)), dtype)


def lecun_uniform(shape: Shape, dtype: DTypeLike = np.float32) -> Array:
    """U(−a, a) with a = √(3 / fan_in)."""
    bound = math.sqrt(3 / fans(shape)[0])
    return uniform(shape, -bound, bound, dtype)


def lecun_normal(shape: Shape, dtype: DTypeLike = np.float32) -> Array:
    """N(0, s²) with s = 1 / √fan_in."""
    return normal(shape, 0, 1 / math.sqrt(fans(shape)[0]), dtype)


def orthogonal(shape: Shape, gain: float = 1.0, dtype: DTypeLike = np.float32) -> Array:
    """Rows (or, if there are more of them, columns) orthonormal, times gain; W is read as (out, in · ∏kernel).

    From the QR decomposition of a normal matrix, signs chosen so that the result is uniformly distributed
    (Mezzadri, "How to generate random matrices from the classical compact groups", 2007).
    """
    rows, columns = shape[0], fans(shape)[0]
    q, r = np.linalg.qr(generator().normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(float_dtype(dtype))


def default(shape: Shape, fan_in: int, dtype: DTypeLike = np.float32) -> Array:
    """U(−a, a) with a = 1/√fan_in: PyTorch's default for weights and biases of Linear and convolutions."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return uniform(shape, -bound, bound, dtype)


def _fan(shape: Shape, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans(shape)[mode == "fan_out"]
