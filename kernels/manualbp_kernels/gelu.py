"""Self-gated activations: x times a smooth step, the logistic one (SiLU) or the normal one (GELU). (f, f′) side by side."""

import math

import numpy as np

from .cpu.functions import erf, exp, tanh
from .cpu.like import like
from .kernel import kernel
from .sigmoid import logistic

SQRT_1_2 = math.sqrt(0.5)
SQRT_1_2PI = math.sqrt(0.5 / math.pi)
SQRT_2_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715

_erf = np.vectorize(math.erf, otypes=[np.float64])


@kernel
def silu(y, x):
    """y = x σ(x)"""
    e = np.exp(-np.abs(x))
    y[...] = x * np.where(x >= 0, 1, e) / (1 + e)


@silu.scalar()
def silu_scalar(x):
    return x * logistic(x)


@kernel
def silu_backward(dx, dy, x):
    """dx = dy · s (1 + x (1 − s)),  s = σ(x)"""
    e = np.exp(-np.abs(x))
    s = np.where(x >= 0, 1, e) / (1 + e)
    dx[...] = dy * s * (1 + x * (1 - s))


@silu_backward.scalar()
def silu_backward_scalar(dy, x):
    s = logistic(x)
    return dy * s * (like(x, 1) + x * (like(x, 1) - s))


@kernel
def gelu(y, x):
    """y = x Φ(x),  Φ(x) = ½ (1 + erf(x/√2))"""
    y[...] = x * 0.5 * (1 + _erf(x * SQRT_1_2))


@gelu.scalar()
def gelu_scalar(x):
    u = x * like(x, SQRT_1_2)
    return x * like(x, 0.5) * (like(x, 1) + erf(u, exp(-u * u)))


@kernel
def gelu_backward(dx, dy, x):
    """dx = dy · (Φ(x) + x φ(x)),  φ(x) = e^(−x²/2) / √(2π)"""
    dx[...] = dy * (0.5 * (1 + _erf(x * SQRT_1_2)) + x * SQRT_1_2PI * np.exp(-0.5 * x * x))


@gelu_backward.scalar()
def gelu_backward_scalar(dy, x):
    u = x * like(x, SQRT_1_2)
    e = exp(-u * u)
    return dy * (like(x, 0.5) * (like(x, 1) + erf(u, e)) + x * like(x, SQRT_1_2PI) * e)


@kernel
def gelu_tanh(y, x):
    """y = ½ x (1 + tanh u),  u = √(2/π) (x + 0.044715 x³)"""
    y[...] = 0.5 * x * (1 + np.tanh(SQRT_2_PI * (x + CUBIC * x * x * x)))


@gelu_tanh.scalar()
def gelu_tanh_scalar(x):
    u = like(x, SQRT_2_PI) * (x + like(x, CUBIC) * x * x * x)
    return like(x, 0.5) * x * (like(x, 1) + tanh(u))


@kernel
def gelu_tanh_backward(dx, dy, x):
    """dx = dy · ½ (1 + t + x (1 − t²) u′),  t = tanh u,  u′ = √(2/π) (1 + 3 · 0.044715 x²)"""
    t = np.tanh(SQRT_2_PI * (x + CUBIC * x * x * x))
    dx[...] = dy * 0.5 * (1 + t + x * (1 - t * t) * SQRT_2_PI * (1 + 3 * CUBIC * x * x))


@gelu_tanh_backward.scalar()
def gelu_tanh_backward_scalar(dy, x):
    one = like(x, 1)
    t = tanh(like(x, SQRT_2_PI) * (x + like(x, CUBIC) * x * x * x))
    du = like(x, SQRT_2_PI) * (one + like(x, 3 * CUBIC) * x * x)
    return dy * like(x, 0.5) * (one + t + x * (one - t * t) * du)
