"""Filling, copying, adding, and other plain traffic between arrays."""

import numpy as np

from .kernel import kernel


@kernel
def fill(y, value):
    """y[…] = value"""
    y[...] = value


@fill.cpu
def fill_cpu(y, value):
    y = y.ravel()
    for i in range(y.size):
        y[i] = value


@kernel
def multiply(y, a, b):
    """y = a · b"""
    np.multiply(a, b, out=y)


@multiply.scalar()
def multiply_scalar(a, b):
    return a * b


@kernel
def add(y, a, b):
    """y = a + b"""
    np.add(a, b, out=y)


@add.scalar()
def add_scalar(a, b):
    return a + b


@kernel
def copy(y, x):
    """y = x"""
    y[...] = x


@copy.scalar()
def copy_scalar(x):
    return x


@kernel
def swap_axes(y, x):
    """y[j,i,d] = x[i,j,d]"""
    y[...] = x.swapaxes(0, 1)


@swap_axes.cpu
def swap_axes_cpu(y, x):
    for j in range(y.shape[0]):
        for i in range(y.shape[1]):
            for d in range(y.shape[2]):
                y[j, i, d] = x[i, j, d]


@kernel
def put_columns(y, x, start):
    """y[i, j, start + d] = x[i, j, d]"""
    y[:, :, start : start + x.shape[2]] = x


@put_columns.cpu
def put_columns_cpu(y, x, start):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for d in range(x.shape[2]):
                y[i, j, start + d] = x[i, j, d]


@kernel
def take_columns(y, x, start):
    """y[i, j, d] = x[i, j, start + d]"""
    y[...] = x[:, :, start : start + y.shape[2]]


@take_columns.cpu
def take_columns_cpu(y, x, start):
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            for d in range(y.shape[2]):
                y[i, j, d] = x[i, j, start + d]


@kernel
def take_step(y, x, t):
    """y[n,d] = x[n,t,d]"""
    y[...] = x[:, t]


@take_step.cpu
def take_step_cpu(y, x, t):
    for n in range(y.shape[0]):
        for d in range(y.shape[1]):
            y[n, d] = x[n, t, d]


@kernel
def put_step(y, x, t):
    """y[n,t,d] = x[n,d], and 0 at every other step"""
    y[...] = 0
    y[:, t] = x


@put_step.cpu
def put_step_cpu(y, x, t):
    y[...] = 0
    for n in range(x.shape[0]):
        for d in range(x.shape[1]):
            y[n, t, d] = x[n, d]
