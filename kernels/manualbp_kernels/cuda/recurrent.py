"""Recurrent layers: all time steps in one launch.

Samples do not meet in time, so a block takes a few of them through all steps and waits for nobody else. What a step costs is
the product of the state with the weights, which every block reads once per step, from the L2 cache after the first one:

    thread     0      1      2    …   lanes − 1        part 0: p = 0, 1, …
             W[p,0] W[p,1] W[p,2]                      side by side in memory, one load for 32 threads
               × state[p] of each sample               from shared memory, the same number for all threads
               + sum     sum    sum                    in registers, one for each sample

Where a row of W is shorter than the block, several parts of it share the sum over p, and their sums are added in order. The
forward products need W turned, and one small launch turns it. The steps have the order of the loops in ``../recurrent.py``.
"""

from functools import cache

from ..cpu.functions import tanh
from ..recurrent import gru, gru_backward, lstm, lstm_backward, rnn, rnn_backward, step
from ..sigmoid import logistic
from .device import choose, cuda, device_function, grid, scratch

THREADS = choose(512, 4)
WARP = choose(32, 2)
STAGE = choose(512, 3)  # numbers of each sample's state in shared memory
TILE, ROWS = choose((32, 8), (2, 1))
FEW = choose(128, 2)  # samples, for which a multiprocessor each is better than to share what is read
GROUP = choose(4, 2)  # … and beyond, so many share a block


@grid
def turn(B, A):
    """B[j,i] = A[i,j], through a tile: rows are read along rows and written along rows."""
    tile = cuda.shared.array((TILE, TILE + 1), A.dtype)  # one column more, or all of a column lies in one memory bank
    i0, j0 = TILE * cuda.blockIdx.y, TILE * cuda.blockIdx.x
    x = cuda.threadIdx.x
    for y in range(cuda.threadIdx.y, TILE, ROWS):
        if i0 + y < A.shape[0] and j0 + x < A.shape[1]:
            tile[y, x] = A[i0 + y, j0 + x]
    cuda.syncthreads()
    for y in range(cuda.threadIdx.y, TILE, ROWS):
        if j0 + y < A.shape[1] and i0 + x < A.shape[0]:
            B[j0 + y, i0 + x] = tile[x, y]


def turned(W):
    """Wᵀ in memory that the next kernel may use again."""
    G, H = W.shape
    copy = scratch(G * H, W.dtype).reshape(H, G)
    turn[(-(-H // TILE), -(-G // TILE)), (TILE, ROWS)](copy, W)
    return copy


@cache
def product(samples):
    """The product of a step, for blocks of so many samples."""

    @device_function
    def add_product(out, x, W, first, lanes):
        """out[n,j] += Σ_p x[n,p] W[p,j] for the block's samples. It begins after a barrier and ends with one."""
        N, K, J = x.shape[0], W.shape[0], W.shape[1]
        stage = cuda.shared.array((STAGE, samples), W.dtype)
        partial = cuda.shared.array((samples, THREADS), W.dtype)
        sums = cuda.local.array(samples, W.dtype)
        me = cuda.threadIdx.x
        lane, part, parts = me % lanes, me // lanes, THREADS // lanes
        for p0 in range(0, K, STAGE):
            count = min(STAGE, K - p0)
            for s in range(samples):
                for p in range(me, count, THREADS):
                    stage[p, s] = x[first + s, p0 + p] if first + s < N else W.dtype.type(0)
            cuda.syncthreads()
            share = (count + parts - 1) // parts
            for j0 in range(0, J, lanes):
                for s in range(samples):
                    sums[s] = 0
                if j0 + lane < J:
                    for p in range(part * share, min(part * share + share, count)):
                        w = W[p0 + p, j0 + lane]
                        for s in range(samples):
                            sums[s] += w * stage[p, s]
                for s in range(samples):
                    partial[s, me] = sums[s]
                cuda.syncthreads()
                for s in range(part, samples, parts):
                    if first + s < N and j0 + lane < J:
                        total = partial[s, lane]
                        for q in range(1, parts):
                            total += partial[s, q * lanes + lane]
                        out[first + s, j0 + lane] += total
                cuda.syncthreads()

    return add_product


def blocks_of(N):
    """(samples of a block, blocks)"""
    samples = 1 if N <= FEW else GROUP
    return samples, -(-N // samples)


def lanes_of(J):
    """How many columns the threads of a block take at a time: a power of two."""
    return max(WARP, min(THREADS, 1 << (J - 1).bit_length()))


def bias(b, other):
    """(array, whether it is a bias): a grid takes no None."""
    return (other.reshape(-1), False) if b is None else (b, True)


# ---------------------------------------------------------------------- h' = φ(z + h Wᵀ + b)


@cache
def rnn_grid(samples):
    add_product = product(samples)

    @grid(name=f"rnn_{samples}")
    def rnn_steps(h, z, W, b, h0, biased, relu, reverse, lanes):
        T, N, H = z.shape
        first, me = cuda.blockIdx.x * samples, cuda.threadIdx.x
        last = min(first + samples, N)
        zero = z.dtype.type(0)
        for n in range(first, last):
            for k in range(me, H, THREADS):
                h[T if reverse else 0, n, k] = h0[n, k]
        for s in range(T):
            t, before, after = step(s, T, reverse)
            for n in range(first, last):
                for k in range(me, H, THREADS):
                    h[after, n, k] = z[t, n, k] + (b[k] if biased else zero)
            cuda.syncthreads()
            add_product(h[after], h[before], W, first, lanes)
            for n in range(first, last):
                for k in range(me, H, THREADS):
                    a = h[after, n, k]
                    h[after, n, k] = (zero if a <= zero else a) if relu else tanh(a)

    return rnn_steps


@rnn.cuda
def rnn_cuda(h, z, W, b, h0, relu, reverse):
    samples, blocks = blocks_of(z.shape[1])
    WT = turned(W)
    rnn_grid(samples)[blocks, THREADS](h, z, WT, *_bias(b, h0), ...)
