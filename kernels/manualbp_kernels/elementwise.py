"""Filling, copying, adding, and other plain traffic between arrays."""

import numpy as np

from .cpu.flat import flat
from .cpu.jit import jit, num_threads, prange
from .cpu.pointwise import PARALLEL_PASS
from .cpu.simd import copy_part, lanes
from .kernel import kernel


@kernel
def fill(y, value):
    """y[…] = value"""
    y[...] = value


@fill.scalar(constants=1)
def fill_scalar(value):
    return value


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


@jit
def swap_rows(y, x, first, last):
    """``swap_axes`` for first ≤ j < last, in vectors: a row is often too short for LLVM to make some."""
    (rows, columns, size), out, source, step = y.shape, flat(y), flat(x), lanes(y)
    for j in range(first, last):
        for i in range(columns):
            to, of = (j * columns + i) * size, (i * rows + j) * size
            for d in range(0, size, step):
                copy_part(out, to + d, source, of + d, min(step, size - d))


@jit(parallel=True)
def parallel_swap(y, x):
    threads = num_threads()
    for t in prange(threads):
        swap_rows(y, x, t * len(y) // threads, (t + 1) * len(y) // threads)


@swap_axes.cpu
def swap_axes_cpu(y, x):
    if y.size >= PARALLEL_PASS and num_threads() > 1:
        parallel_swap(y, x)
    else:
        swap_rows(y, x, 0, len(y))


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


@kernel
def take_rows(y, x, order, position):
    """y[i,d] = x[order[(position + i) mod its length], d]"""
    y[...] = x[order[(position[0] + np.arange(len(y))) % len(order)]]


@take_rows.cpu
def take_rows_cpu(y, x, order, position):
    first = position[0] % len(order)
    for i in range(y.shape[0]):
        row = order[(first + i) % len(order)]
        for d in range(y.shape[1]):
            y[i, d] = x[row, d]
