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
from .memory import get

THREADS = choose(256, 4)
WARP = choose(32, 2)
STAGE = choose(512, 3)  # numbers of each sample's state in shared memory
DEPTH = choose(8, 2)  # loads of weights under way at once
TILE, ROWS = choose((32, 8), (2, 1))
PADDED = TILE + 1  # or all of a column lies in one bank of shared memory
FEW = choose(128, 2)  # samples, for which a multiprocessor each is better than to share what is read
GROUP = choose(4, 2)  # … and beyond, so many share a block


@grid
def turn(B, A):
    """B[j,i] = A[i,j], through a tile: rows are read along rows and written along rows."""
    tile = cuda.shared.array((TILE, PADDED), A.dtype)
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
        stage = cuda.shared.array((samples, STAGE), W.dtype)
        partial = cuda.shared.array((samples, THREADS), W.dtype)
        sums = cuda.local.array(samples, W.dtype)
        me = cuda.threadIdx.x
        lane, part, parts = me % lanes, me // lanes, THREADS // lanes
        for p0 in range(0, K, STAGE):
            count = min(STAGE, K - p0)
            for s in range(samples):
                for p in range(me, count, THREADS):
                    stage[s, p] = x[first + s, p0 + p] if first + s < N else W.dtype.type(0)
            cuda.syncthreads()
            share = (count + parts - 1) // parts
            for j0 in range(0, J, lanes):
                for s in range(samples):
                    sums[s] = 0
                if j0 + lane < J:
                    p, end = part * share, min(part * share + share, count)
                    at = (p0 + p) * J + j0 + lane
                    while p + DEPTH <= end:
                        for i in range(DEPTH):
                            w = get(W, at + i * J)
                            for s in range(samples):
                                sums[s] += w * get(stage, s * STAGE + p + i)
                        p += DEPTH
                        at += DEPTH * J
                    while p < end:
                        w = get(W, at)
                        for s in range(samples):
                            sums[s] += w * get(stage, s * STAGE + p)
                        p += 1
                        at += J
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


def or_nothing(b, other):
    """(array, whether it is a bias): a grid takes no None."""
    return (other.reshape(-1), False) if b is None else (b, True)


# ---------------------------------------------------------------------- h' = φ(z + h Wᵀ + b)


@cache
def rnn_grid(samples):
    add_product = product(samples)

    @grid(name=f"rnn_{samples}")
    def steps(h, z, W, b, h0, biased, relu, reverse, lanes):
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

    return steps


@rnn.cuda
def rnn_cuda(h, z, W, b, h0, relu, reverse):
    samples, blocks = blocks_of(z.shape[1])
    b, biased = or_nothing(b, h0)
    rnn_grid(samples)[blocks, THREADS](h, z, turned(W), b, h0, biased, relu, reverse, lanes_of(len(W)))


@cache
def rnn_backward_grid(samples):
    add_product = product(samples)

    @grid(name=f"rnn_backward_{samples}")
    def steps(dz, dh0, dy, dhn, h, W, relu, reverse, lanes):
        T, N, H = dy.shape
        first, me = cuda.blockIdx.x * samples, cuda.threadIdx.x
        last = min(first + samples, N)
        zero, one = h.dtype.type(0), h.dtype.type(1)
        for n in range(first, last):
            for k in range(me, H, THREADS):
                dh0[n, k] = dhn[n, k]
        for s in range(T - 1, -1, -1):
            t, _, after = step(s, T, reverse)
            for n in range(first, last):
                for k in range(me, H, THREADS):
                    y = h[after, n, k]
                    slope = (one if y > zero else zero) if relu else one - y * y
                    dz[t, n, k] = (dy[t, n, k] + dh0[n, k]) * slope
                    dh0[n, k] = zero
            cuda.syncthreads()
            add_product(dh0, dz[t], W, first, lanes)

    return steps


@rnn_backward.cuda
def rnn_backward_cuda(dz, dh0, dy, dhn, h, W, relu, reverse):
    samples, blocks = blocks_of(dy.shape[1])
    rnn_backward_grid(samples)[blocks, THREADS](dz, dh0, dy, dhn, h, W, relu, reverse, lanes_of(dy.shape[2]))


# ---------------------------------------------------------------------- c' = f c + i g;  h' = o tanh c'


@cache
def lstm_grid(samples):
    add_product = product(samples)

    @grid(name=f"lstm_{samples}")
    def steps(h, c, gates, z, W, b, h0, c0, biased, reverse, lanes):
        T, N, H = z.shape[0], h.shape[1], h.shape[2]
        first, me = cuda.blockIdx.x * samples, cuda.threadIdx.x
        last = min(first + samples, N)
        begin, zero = T if reverse else 0, z.dtype.type(0)
        for n in range(first, last):
            for k in range(me, H, THREADS):
                h[begin, n, k], c[begin, n, k] = h0[n, k], c0[n, k]
        for s in range(T):
            t, before, after = step(s, T, reverse)
            for n in range(first, last):
                for k in range(me, 4 * H, THREADS):
                    gates[t, n, k] = z[t, n, k] + (b[k] if biased else zero)
            cuda.syncthreads()
            add_product(gates[t], h[before], W, first, lanes)
            for n in range(first, last):
                a = gates[t, n]
                for k in range(me, H, THREADS):
                    i, f, g, o = logistic(a[k]), logistic(a[H + k]), tanh(a[2 * H + k]), logistic(a[3 * H + k])
                    a[k], a[H + k], a[2 * H + k], a[3 * H + k] = i, f, g, o
                    carried = f * c[before, n, k] + i * g
                    c[after, n, k] = carried
                    h[after, n, k] = o * tanh(carried)

    return steps


@lstm.cuda
def lstm_cuda(h, c, gates, z, W, b, h0, c0, reverse):
    samples, blocks = blocks_of(z.shape[1])
    b, biased = or_nothing(b, h0)
    lstm_grid(samples)[blocks, THREADS](h, c, gates, z, turned(W), b, h0, c0, biased, reverse, lanes_of(len(W)))


@cache
def lstm_backward_grid(samples):
    add_product = product(samples)

    @grid(name=f"lstm_backward_{samples}")
    def steps(dz, dh0, dc0, dy, dhn, dcn, c, gates, W, reverse, lanes):
        T, N, H = dy.shape
        first, me = cuda.blockIdx.x * samples, cuda.threadIdx.x
        last = min(first + samples, N)
        zero, one = c.dtype.type(0), c.dtype.type(1)
        for n in range(first, last):
            for k in range(me, H, THREADS):
                dh0[n, k], dc0[n, k] = dhn[n, k], dcn[n, k]
        for s in range(T - 1, -1, -1):
            t, before, after = step(s, T, reverse)
            for n in range(first, last):
                a, d = gates[t, n], dz[t, n]
                for k in range(me, H, THREADS):
                    i, f, g, o = a[k], a[H + k], a[2 * H + k], a[3 * H + k]
                    u = tanh(c[after, n, k])
                    dh = dh0[n, k] + dy[t, n, k]
                    dc = dc0[n, k] + dh * o * (one - u * u)
                    d[k] = dc * g * i * (one - i)
                    d[H + k] = dc * c[before, n, k] * f * (one - f)
                    d[2 * H + k] = dc * i * (one - g * g)
                    d[3 * H + k] = dh * u * o * (one - o)
                    dc0[n, k] = dc * f
                    dh0[n, k] = zero
            cuda.syncthreads()
            add_product(dh0, dz[t], W, first, lanes)

    return steps


@lstm_backward.cuda
def lstm_backward_cuda(dz, dh0, dc0, dy, dhn, dcn, c, gates, W, reverse):
    samples, blocks = blocks_of(dy.shape[1])
    lanes = lanes_of(dy.shape[2])
    lstm_backward_grid(samples)[blocks, THREADS](dz, dh0, dc0, dy, dhn, dcn, c, gates, W, reverse, lanes)


# ---------------------------------------------------------------------- h' = (1 − u) n + u h


@cache
def gru_grid(samples):
    add_product = product(samples)

    @grid(name=f"gru_{samples}")
    def steps(h, gates, inner, z, W, b, h0, biased, reverse, lanes):
        T, N, H = inner.shape
        first, me = cuda.blockIdx.x * samples, cuda.threadIdx.x
        last = min(first + samples, N)
        zero, one = z.dtype.type(0), z.dtype.type(1)
        for n in range(first, last):
            for k in range(me, H, THREADS):
                h[T if reverse else 0, n, k] = h0[n, k]
        for s in range(T):
            t, before, after = step(s, T, reverse)
            for n in range(first, last):
                for k in range(me, 3 * H, THREADS):
                    gates[t, n, k] = b[k] if biased else zero
            cuda.syncthreads()
            add_product(gates[t], h[before], W, first, lanes)
            for n in range(first, last):
                a, x = gates[t, n], z[t, n]
                for k in range(me, H, THREADS):
                    an = a[2 * H + k]
                    r, u = logistic(x[k] + a[k]), logistic(x[H + k] + a[H + k])
                    m = tanh(x[2 * H + k] + r * an)
                    a[k], a[H + k], a[2 * H + k] = r, u, m
                    inner[t, n, k] = an
                    h[after, n, k] = (one - u) * m + u * h[before, n, k]

    return steps


@gru.cuda
def gru_cuda(h, gates, inner, z, W, b, h0, reverse):
    samples, blocks = blocks_of(z.shape[1])
    b, biased = or_nothing(b, h0)
    gru_grid(samples)[blocks, THREADS](h, gates, inner, z, turned(W), b, h0, biased, reverse, lanes_of(len(W)))


@cache
def gru_backward_grid(samples):
    add_product = product(samples)

    @grid(name=f"gru_backward_{samples}")
    def steps(dz, da, dh0, dy, dhn, h, gates, inner, W, reverse, lanes):
        T, N, H = dy.shape
        first, me = cuda.blockIdx.x * samples, cuda.threadIdx.x
        last = min(first + samples, N)
        one = h.dtype.type(1)
        for n in range(first, last):
            for k in range(me, H, THREADS):
                dh0[n, k] = dhn[n, k]
        for s in range(T - 1, -1, -1):
            t, before, _ = step(s, T, reverse)
            for n in range(first, last):
                a, d, e = gates[t, n], dz[t, n], da[t, n]
                for k in range(me, H, THREADS):
                    r, u, m = a[k], a[H + k], a[2 * H + k]
                    dh = dy[t, n, k] + dh0[n, k]
                    dn = dh * (one - u) * (one - m * m)
                    du = dh * (h[before, n, k] - m) * u * (one - u)
                    dr = dn * inner[t, n, k] * r * (one - r)
                    d[k], d[H + k], d[2 * H + k] = dr, du, dn
                    e[k], e[H + k], e[2 * H + k] = dr, du, dn * r
                    dh0[n, k] = dh * u
            cuda.syncthreads()
            add_product(dh0, da[t], W, first, lanes)

    return steps


@gru_backward.cuda
def gru_backward_cuda(dz, da, dh0, dy, dhn, h, gates, inner, W, reverse):
    samples, blocks = blocks_of(dy.shape[1])
    lanes = lanes_of(dy.shape[2])
    gru_backward_grid(samples)[blocks, THREADS](dz, da, dh0, dy, dhn, h, gates, inner, W, reverse, lanes)
