"""Random masks on a GPU: the same stream as everywhere, a thread for each block of four words."""

from __future__ import annotations

import numpy as np

from ..random import dropout, philox
from .device import cover, cuda, device_function, grid

words_of = device_function(philox)


@grid
def dropout_grid(y, mask, state, x, limit, kept):
    for block in range(cuda.grid(1), (x.size + 3) // 4, cuda.gridsize(1)):
        words = words_of(state[1] + np.uint64(block), state[0])
        for lane in range(min(4, x.size - 4 * block)):
            i = 4 * block + lane
            m = kept if words[lane] >= limit else kept - kept
            mask[i] = m
            y[i] = m * x[i]


@grid
def advance(state, blocks):
    """Move the counter past the blocks that were used."""
    state[1] += np.uint64(blocks)


@dropout.cuda
def dropout_cuda(y, mask, state, x, p):
    blocks = -(-x.size // 4)
    kept = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    dropout_grid[cover(blocks)](y.reshape(-1), mask.reshape(-1), state, x.reshape(-1), p * 2.0**32, kept)
    advance[1, 1](state, blocks)
