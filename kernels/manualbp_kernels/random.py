"""Random masks from Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

The stream is a function of a key and a counter: element i of a call takes word i mod 4 of block counter + i div 4,
whatever computes it. ``state`` holds (key, counter); a call moves the counter past the blocks it used.
"""

import numpy as np

from .cpu.flat import flat
from .cpu.jit import jit
from .kernel import kernel

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
ROUNDS = 10


def philox(counter, key):
    """The four words of block ``counter`` (uint64, or an array of them) under ``key`` (uint64)."""
    c0, c1, c2, c3 = counter & LOW, counter >> SHIFT, counter & np.uint64(0), counter & np.uint64(0)
    k0, k1 = key & LOW, key >> SHIFT
    for _ in range(ROUNDS):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1 & LOW, (p0 >> SHIFT) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    return c0, c1, c2, c3


philox_cpu = jit(philox)


@kernel
def dropout(y, mask, state, x, p):
    """mask[i] = 0 if word[i] < p · 2³², else 1/(1−p);  y = mask · x"""
    key, counter = state
    blocks = counter + np.arange(-(-x.size // 4), dtype=np.uint64)
    words = np.stack(philox(blocks, key), axis=1).ravel()[: x.size].reshape(x.shape)
    mask[...] = np.where(words < p * 2**32, 0, 1 / (1 - p) if p < 1 else 0)
    np.multiply(mask, x, out=y)
    state[1] += np.uint64(len(blocks))


@dropout.cpu
def dropout_cpu(y, mask, state, x, p):
    y, mask, x = flat(y), flat(mask), flat(x)
    limit = p * 2.0**32
    kept = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    for block in range((x.size + 3) // 4):
        words = philox_cpu(state[1] + np.uint64(block), state[0])
        for lane in range(min(4, x.size - 4 * block)):
            i = 4 * block + lane
            mask[i] = 0 if words[lane] < limit else kept
            y[i] = mask[i] * x[i]
    state[1] += np.uint64((x.size + 3) // 4)
