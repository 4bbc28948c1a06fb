"""Sums in float64, always added in the same order: over a block's threads by a tree of pairs, then over the blocks."""

from __future__ import annotations

import numpy as np

from .device import ONE_BLOCK, THREADS, cover, cuda, device_function, grid, scratch


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


@device_function
def last_block(tickets, at, blocks):
    """Whether this is the last of so many blocks to come here; it then sees all that the others wrote before they came.

    Every thread of a block must call it, and all get the same answer. Tickets are integers: nothing is added up here whose
    sum would depend on who comes first.
    """
    drawn = cuda.shared.array(1, np.int32)
    cuda.threadfence()
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        drawn[0] = cuda.atomic.add(tickets, at, 1)
        if drawn[0] == blocks - 1:
            tickets[at] = 0  # for the next launch
    cuda.syncthreads()
    cuda.threadfence()  # what is read from here on was not fetched before
    return drawn[0] == blocks - 1


@grid
def sum_vector(s, x):
    """s[0] = Σ x[i], in one block."""
    total = np.float64(0)
    for i in range(cuda.threadIdx.x, x.size, THREADS):
        total += x[i]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        s[0] = total


def with_sum(summing, s, elements, *arguments):
    """Launch a grid that puts the sum of each of its blocks into its first argument, and add those up into ``s``.

    One launch where one block is enough. Every thread has added up its own elements, a block its threads, the last launch
    the blocks: the order depends on the number of elements alone.
    """
    if elements <= ONE_BLOCK:
        summing[1, THREADS](s, *arguments)
    else:
        blocks, threads = cover(elements)
        totals = scratch(blocks, "float64")
        summing[blocks, threads](totals, *arguments)
        sum_vector[1, THREADS](s, totals)
