"""ReLU and its relatives: straight on the positive side, different on the negative one. (f, f′) side by side."""

import numpy as np

from .cpu.functions import exp
from .cpu.like import like
from .kernel import kernel


@kernel
def relu(y, x):
    """y = max(x, 0)"""
    y[...] = np.maximum(x, 0)


@relu.scalar()
def relu_scalar(x):
    return like(x, 0) if x <= 0 else x


@kernel
def relu_backward(dx, dy, x):
    """dx = dy if x > 0, else 0"""
    dx[...] = np.where(x <= 0, 0, dy)


@relu_backward.scalar()
def relu_backward_scalar(dy, x):
    return like(dy, 0) if x <= 0 else dy


@kernel
def leaky_relu(y, x, slope):
    """y = x if x > 0, else slope · x"""
    y[...] = np.where(x > 0, x, slope * x)


@leaky_relu.scalar(constants=1)
def leaky_relu_scalar(x, slope):
    return x if x > 0 else like(x, slope) * x


@kernel
def leaky_relu_backward(dx, dy, x, slope):
    """dx = dy if x > 0, else slope · dy"""
    dx[...] = np.where(x > 0, dy, slope * dy)


@leaky_relu_backward.scalar(constants=1)
def leaky_relu_backward_scalar(dy, x, slope):
    return dy if x > 0 else like(dy, slope) * dy


@kernel
def elu(y, x, alpha, scale):
    """y = scale · (x if x > 0, else α (eˣ − 1))"""
    y[...] = scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@elu.scalar(constants=2)
def elu_scalar(x, alpha, scale):
    return like(x, scale) * (x if x > 0 else like(x, alpha) * np.expm1(x))


@kernel
def elu_backward(dx, dy, x, alpha, scale):
    """dx = dy · scale · (1 if x > 0, else α eˣ)"""
    dx[...] = dy * scale * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


@elu_backward.scalar(constants=2)
def elu_backward_scalar(dy, x, alpha, scale):
    return dy * like(x, scale) * (like(x, 1) if x > 0 else like(x, alpha) * exp(x))
