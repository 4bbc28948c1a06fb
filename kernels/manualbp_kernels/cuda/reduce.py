"""Sums over the threads of a block, always added in the same order: a tree over neighbours half as many at each level."""

from __future__ import annotations

import numpy as np

from .device import THREADS, cuda, device_function, grid


@device_function
def block_sum(value):
    """Σ value over the threads of a block of THREADS, in float64. Every thread of the block must call it; all get the sum."""
    parts = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    cuda.syncthreads()  # an earlier sum may still be read
    parts[thread] = value
    cuda.syncthreads()
    reach = THREADS // 2
    while reach > 0:
        if thread < reach:
            parts[thread] += parts[thread + reach]
        cuda.syncthreads()
        reach //= 2
    return parts[0]


@grid
def sum_vector(s, x):
    """s[0] = Σ x[i], in one block."""
    total = 0.0
    for i in range(cuda.threadIdx.x, x.size, THREADS):
        total += x[i]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        s[0] = total
