"""Softmax and log-softmax on a GPU, each in one launch: some threads share the K values of a column out.

A column is x[a, :, b]. Neighbouring threads take neighbouring numbers: along K where inner is 1, else along b.
"""

from __future__ import annotations

import numpy as np

from ..cpu.functions import exp
from ..softmax import log_softmax, log_softmax_backward, softmax, softmax_backward
from .device import choose, cuda, device_function, grid

LANES = choose(32, 2)  # threads for one column
COLUMNS = choose(8, 3)  # of a block
THREADS = LANES * COLUMNS


@device_function
def share(shape):
    """(column of the block, lane, a, b, whether there is such a column) of this thread."""
    outer, _, inner = shape
    thread = cuda.threadIdx.x
    column, lane = (thread // LANES, thread % LANES) if inner == 1 else (thread % COLUMNS, thread // COLUMNS)
    at = cuda.blockIdx.x * COLUMNS + column
    return column, lane, at // inner, at % inner, at < outer * inner


@device_function
def column_sum(value, column, lane):
    """Σ value over the lanes of a column, as a tree; all threads of the block call it, all lanes get the sum."""
    parts = cuda.shared.array((COLUMNS, LANES), np.float64)
    cuda.syncthreads()  # an earlier sum may still be read
    parts[column, lane] = value
    cuda.syncthreads()
    reach = LANES // 2
    while reach > 0:
        if lane < reach:
            parts[column, lane] += parts[column, lane + reach]
        cuda.syncthreads()
        reach //= 2
    return parts[column, 0]


@device_function
def column_max(value, column, lane):
    """The same for the largest value."""
    parts = cuda.shared.array((COLUMNS, LANES), np.float64)
    cuda.syncthreads()
    parts[column, lane] = value
    cuda.syncthreads()
    reach = LANES // 2
    while reach > 0:
        if lane < reach:
            parts[column, lane] = max(parts[column, lane], parts[column, lane + reach])
        cuda.syncthreads()
        reach //= 2
    return parts[column, 0]


@device_function
def largest_and_sum(x, column, lane, a, b, there):
    """The largest of a column, and Σ e^(x − largest)."""
    number = x.dtype.type
    last = x.shape[1] if there else 0
    largest = number(-np.inf)
    for k in range(lane, last, LANES):
        largest = max(largest, x[a, k, b])
    largest = number(column_max(largest, column, lane))
    total = number(0)
    for k in range(lane, last, LANES):
        total += exp(x[a, k, b] - largest)
    return largest, number(column_sum(total, column, lane))


@grid
def softmax_grid(y, x):
    column, lane, a, b, there = share(x.shape)
    largest, total = largest_and_sum(x, column, lane, a, b, there)
    for k in range(lane, x.shape[1] if there else 0, LANES):
        y[a, k, b] = exp(x[a, k, b] - largest) / total


@grid
def log_softmax_grid(y, x):
    column, lane, a, b, there = share(x.shape)
    largest, total = largest_and_sum(x, column, lane, a, b, there)
    log_total = np.log(total)
    for k in range(lane, x.shape[1] if there else 0, LANES):
        y[a, k, b] = x[a, k, b] - largest - log_total


@grid
def softmax_backward_grid(dx, dy, y):
    column, lane, a, b, there = share(y.shape)
    last = y.shape[1] if there else 0
    dot = y.dtype.type(0)
    for k in range(lane, last, LANES):
        dot += dy[a, k, b] * y[a, k, b]
    dot = y.dtype.type(column_sum(dot, column, lane))
    for k in range(lane, last, LANES):
        dx[a, k, b] = y[a, k, b] * (dy[a, k, b] - dot)


@grid
def log_softmax_backward_grid(dx, dy, y):
    column, lane, a, b, there = share(y.shape)
    last = y.shape[1] if there else 0
    total = y.dtype.type(0)
    for k in range(lane, last, LANES):
        total += dy[a, k, b]
    total = y.dtype.type(column_sum(total, column, lane))
    for k in range(lane, last, LANES):
        dx[a, k, b] = dy[a, k, b] - exp(y[a, k, b]) * total


def blocks(array):
    return -(-array.shape[0] * array.shape[2] // COLUMNS)


@softmax.cuda
def softmax_cuda(y, x):
    softmax_grid[blocks(x), THREADS](y, x)


@log_softmax.cuda
def log_softmax_cuda(y, x):
    log_softmax_grid[blocks(x), THREADS](y, x)


@softmax_backward.cuda
def softmax_backward_cuda(dx, dy, y):
    softmax_backward_grid[blocks(y), THREADS](dx, dy, y)


@log_softmax_backward.cuda
def log_softmax_backward_cuda(dx, dy, y):
    log_softmax_backward_grid[blocks(y), THREADS](dx, dy, y)
