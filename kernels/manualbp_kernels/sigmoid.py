"""The logistic curve and what is made of it. (f, f′) side by side."""

import numpy as np

from .cpu.functions import exp
from .cpu.functions import tanh as fast_tanh
from .cpu.jit import jit
from .cpu.like import like
from .kernel import kernel


@jit
def logistic(x):
    """1 / (1 + e⁻ˣ) without overflow: the exponent is never positive."""
    e = exp(-abs(x))
    return (like(x, 1) if x >= 0 else e) / (like(x, 1) + e)


@kernel
def sigmoid(y, x):
    """y = 1 / (1 + e⁻ˣ)"""
    e = np.exp(-np.abs(x))
    y[...] = np.where(x >= 0, 1, e) / (1 + e)


@sigmoid.scalar()
def sigmoid_scalar(x):
    return logistic(x)


@kernel
def sigmoid_backward(dx, dy, y):
    """dx = dy · y (1 − y)"""
    dx[...] = dy * y * (1 - y)


@sigmoid_backward.scalar()
def sigmoid_backward_scalar(dy, y):
    return dy * y * (like(y, 1) - y)


@kernel
def tanh(y, x):
    """y = tanh x"""
    y[...] = np.tanh(x)


@tanh.scalar()
def tanh_scalar(x):
    return fast_tanh(x)


@kernel
def tanh_backward(dx, dy, y):
    """dx = dy · (1 − y²)"""
    dx[...] = dy * (1 - y * y)


@tanh_backward.scalar()
def tanh_backward_scalar(dy, y):
    return dy * (like(y, 1) - y * y)


@kernel
def softplus(y, x, beta, threshold):
    """y = log(1 + e^βx) / β, and x itself where βx > threshold"""
    y[...] = np.where(beta * x > threshold, x, np.log1p(np.exp(np.minimum(beta * x, threshold))) / beta)


@softplus.scalar(constants=2)
def softplus_scalar(x, beta, threshold):
    z = like(x, beta) * x
    return x if z > threshold else np.log1p(exp(z)) / like(x, beta)


@kernel
def softplus_backward(dx, dy, x, beta, threshold):
    """dx = dy · σ(βx), and dy itself where βx > threshold"""
    e = np.exp(-np.abs(beta * x))
    dx[...] = dy * np.where(beta * x > threshold, 1, np.where(x * beta >= 0, 1, e) / (1 + e))


@softplus_backward.scalar(constants=2)
def softplus_backward_scalar(dy, x, beta, threshold):
    z = like(x, beta) * x
    return dy if z > threshold else dy * logistic(z)
