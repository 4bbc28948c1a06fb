"""Recurrent layers, all time steps in one call. Time comes first: z (T, N, gates·H) are the input products x Wᵢᵀ + bᵢ.

States have one row more than there are steps: forward in time h[0] is the initial state and step t leads from h[t] to
h[t+1]; in reverse h[T] is the initial state and step t leads from h[t+1] to h[t]. So "the state before each step" is
h[:-1] (in reverse h[1:]), one contiguous array.
"""

import numpy as np

from .cpu.flat import flat
from .cpu.functions import tanh
from .cpu.gemm import OUTPUT, PARALLEL_WORK, aligned, block, fill_steps, pack, packed_size, panel_of
from .cpu.jit import jit, num_threads, prange
from .cpu.simd import lanes
from .kernel import kernel
from .matmul import TINIEST
from .sigmoid import logistic


def order(T, reverse):
    """(step, index of the state before it, index of the state after it), in the order of computation."""
    return [(t, t + 1, t) for t in reversed(range(T))] if reverse else [(t, t, t + 1) for t in range(T)]


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _recurrent_product(h, W, b):
    return h @ W.T if b is None else h @ W.T + b


@kernel
def rnn(h, z, W, b, h0, relu, reverse):
    """h' = φ(z[t] + h Wᵀ + b),  φ = ReLU or tanh"""
    h[-1 if reverse else 0] = h0
    for t, before, after in order(len(z), reverse):
        a = z[t] + _recurrent_product(h[before], W, b)
        h[after] = np.maximum(a, 0) if relu else np.tanh(a)


@kernel
def rnn_backward(dz, dh0, dy, dhn, h, W, relu, reverse):
    """dh' = dy[t] + (dh carried back);  dz[t] = dh' φ'(a);  dh = dz[t] W"""
    dh0[...] = dhn
    for t, _, after in reversed(order(len(dz), reverse)):
        slope = h[after] > 0 if relu else 1 - h[after] ** 2
        dz[t] = (dy[t] + dh0) * slope
        dh0[...] = dz[t] @ W


@kernel
def lstm(h, c, gates, z, W, b, h0, c0, reverse):
    """(i, f, g, o) = (σ, σ, tanh, σ)(z[t] + h Wᵀ + b);  c' = f c + i g;  h' = o tanh c'"""
    h[-1 if reverse else 0], c[-1 if reverse else 0] = h0, c0
    for t, before, after in order(len(z), reverse):
        i, f, g, o = np.split(z[t] + _recurrent_product(h[before], W, b), 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        gates[t] = np.concatenate([i, f, g, o], axis=1)
        c[after] = f * c[before] + i * g
        h[after] = o * np.tanh(c[after])


@kernel
def lstm_backward(dz, dh0, dc0, dy, dhn, dcn, c, gates, W, reverse):
    """dh' = dy[t] + dh;  do = dh' tanh c';  dc' = dc + dh' o (1 − tanh² c');  (di, df, dg) = dc' (g, c, i);
    dz[t] = (di i(1−i), df f(1−f), dg (1−g²), do o(1−o));  dc = dc' f;  dh = dz[t] W"""
    dh0[...], dc0[...] = dhn, dcn
    for t, before, after in reversed(order(len(dz), reverse)):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        dh, u = dy[t] + dh0, np.tanh(c[after])
        dc = dc0 + dh * o * (1 - u * u)
        dz[t] = np.concatenate(
            [dc * g * i * (1 - i), dc * c[before] * f * (1 - f), dc * i * (1 - g * g), dh * u * o * (1 - o)], axis=1
        )
        dc0[...] = dc * f
        dh0[...] = dz[t] @ W


@kernel
def gru(h, gates, inner, z, W, b, h0, reverse):
    """a = h Wᵀ + b;  r = σ(z_r + a_r);  u = σ(z_u + a_u);  n = tanh(z_n + r a_n);  h' = (1 − u) n + u h"""
    h[-1 if reverse else 0] = h0
    for t, before, after in order(len(z), reverse):
        ar, au, an = np.split(_recurrent_product(h[before], W, b), 3, axis=1)
        zr, zu, zn = np.split(z[t], 3, axis=1)
        r, u = _sigmoid(zr + ar), _sigmoid(zu + au)
        n = np.tanh(zn + r * an)
        gates[t], inner[t] = np.concatenate([r, u, n], axis=1), an
        h[after] = (1 - u) * n + u * h[before]


@kernel
def gru_backward(dz, da, dh0, dy, dhn, h, gates, inner, W, reverse):
    """dh' = dy[t] + dh;  dn = dh' (1−u)(1−n²);  du = dh' (h−n) u(1−u);  dr = dn a_n r(1−r);
    dz[t] = (dr, du, dn);  da[t] = (dr, du, dn r);  dh = dh' u + da[t] W"""
    dh0[...] = dhn
    for t, before, _ in reversed(order(len(dz), reverse)):
        r, u, n = np.split(gates[t], 3, axis=1)
        dh = dy[t] + dh0
        dn = dh * (1 - u) * (1 - n * n)
        du = dh * (h[before] - n) * u * (1 - u)
        dr = dn * inner[t] * r * (1 - r)
        dz[t] = np.concatenate([dr, du, dn], axis=1)
        da[t] = np.concatenate([dr, du, dn * r], axis=1)
        dh0[...] = dh * u + da[t] @ W


# ---------------------------------------------------------------------- loops
#
# Samples do not meet in time, so threads share the samples: each takes its rows through all steps without waiting for
# the others. The functions named ``…_rows`` do that for the rows first ≤ n < last. Their loops are short on purpose: with
# more than four or five arrays in one, LLVM gives up proving that they do not overlap, and makes no vectors.


@jit
def step(s, T, reverse):
    """``order``, one entry at a time: s counts computations."""
    return (T - 1 - s, T - s, T - 1 - s) if reverse else (s, s, s + 1)


@jit
def laid_out(W, turned, N):
    """W, or Wᵀ if ``turned``, as every step of N samples reads it: in panels, or as it is if there is little to do."""
    n, k = W.shape
    if not turned:
        n, k = k, n
    row, step = (1, k) if turned else (n, 1)
    w, panel = flat(W), panel_of(n, lanes(W))
    if N * n * k <= TINIEST:
        return w
    weights = np.empty(packed_size(k, n, panel) + panel, W.dtype)
    pack(weights, aligned(weights), panel, w, 0, row, step, k, n)
    return weights


@jit
def product_tables(rows, n, k, weights):
    """The tables of ``add_product``, the same for every step; nothing if the weights are not in panels."""
    if len(weights) == n * k:
        return weights[:0].view(np.int64)  # what ``np.empty(0)`` takes is longer than a tiny step
    tables = np.empty(rows + 2 * k, np.int64)
    fill_steps(tables[:rows], k)
    fill_steps(tables[rows : rows + k], 1)
    fill_steps(tables[rows + k :], panel_of(n, lanes(weights)))
    return tables


@jit
def add_product(C, c0, n, A, a0, k, weights, turned, tables, rows):
    """C += A B for ``rows`` rows of C (n numbers each) and A (k numbers each), B as ``laid_out`` has it."""
    c, a = flat(C), flat(A)
    if len(tables):
        block(
            rows, n, k, panel_of(n, lanes(C)), c, c0 * n, n, a, a0 * k, tables[:rows], tables[rows : rows + k],
            weights, aligned(weights), k + 1, tables[rows + k :], OUTPUT, weights, 0,
        )  # fmt: skip
        return
    row, step = (1, k) if turned else (n, 1)
    for r in range(rows):
        to, of = (c0 + r) * n, (a0 + r) * k
        for j in range(n):
            s = c[to + j]
            for p in range(k):
                s += a[of + p] * weights[p * row + j * step]
            c[to + j] = s


@jit
def sharing(T, N, W):
    """How many threads are worth having for T steps of N samples."""
    return min(num_threads(), N) if T * N * W.size >= PARALLEL_WORK else 1


@jit
def or_zeros(b, W):
    """The bias, or zeros where there is none."""
    return np.zeros(len(W), W.dtype) if b is None else b


@jit
def rnn_rows(h, z, weights, b, relu, reverse, first, last):
    T, N, H = z.shape
    zero, tables = h.dtype.type(0), product_tables(last - first, H, H, weights)
    for s in range(T):
        t, before, after = step(s, T, reverse)
        for n in range(first, last):
            for k in range(H):
                h[after, n, k] = z[t, n, k] + b[k]
        add_product(h, after * N + first, H, h, before * N + first, H, weights, True, tables, last - first)
        for n in range(first, last):
            a = h[after, n]
            for k in range(H):
                a[k] = (zero if a[k] <= zero else a[k]) if relu else tanh(a[k])


@jit(parallel=True)
def rnn_threads(h, z, weights, b, relu, reverse, threads):
    N = z.shape[1]
    for i in prange(threads):
        rnn_rows(h, z, weights, b, relu, reverse, i * N // threads, (i + 1) * N // threads)


@rnn.cpu
def rnn_cpu(h, z, W, b, h0, relu, reverse):
    T, N, _H = z.shape
    h[T if reverse else 0] = h0
    threads = sharing(T, N, W)
    if threads == 1:
        rnn_rows(h, z, laid_out(W, True, N), or_zeros(b, W), relu, reverse, 0, N)
    else:
        rnn_threads(h, z, laid_out(W, True, N), or_zeros(b, W), relu, reverse, threads)


@jit
def rnn_backward_rows(dz, dh0, dy, h, weights, relu, reverse, first, last):
    T, N, H = dz.shape
    zero, one, tables = h.dtype.type(0), h.dtype.type(1), product_tables(last - first, H, H, weights)
    for s in range(T - 1, -1, -1):
        t, _, after = step(s, T, reverse)
        for n in range(first, last):
            y, carried, delta, d = h[after, n], dh0[n], dy[t, n], dz[t, n]
            for k in range(H):
                slope = (one if y[k] > zero else zero) if relu else one - y[k] * y[k]
                d[k] = (delta[k] + carried[k]) * slope
                carried[k] = zero
        add_product(dh0, first, H, dz, t * N + first, H, weights, False, tables, last - first)


@jit(parallel=True)
def rnn_backward_threads(dz, dh0, dy, h, weights, relu, reverse, threads):
    N = dz.shape[1]
    for i in prange(threads):
        rnn_backward_rows(dz, dh0, dy, h, weights, relu, reverse, i * N // threads, (i + 1) * N // threads)


@rnn_backward.cpu
def rnn_backward_cpu(dz, dh0, dy, dhn, h, W, relu, reverse):
    dh0[...] = dhn
    T, N, _H = dz.shape
    threads = sharing(T, N, W)
    if threads == 1:
        rnn_backward_rows(dz, dh0, dy, h, laid_out(W, False, N), relu, reverse, 0, N)
    else:
        rnn_backward_threads(dz, dh0, dy, h, laid_out(W, False, N), relu, reverse, threads)


@jit
def lstm_rows(h, c, gates, z, weights, b, reverse, first, last):
    T, N, H = h.shape[0] - 1, h.shape[1], h.shape[2]
    tables = product_tables(last - first, 4 * H, H, weights)
    for s in range(T):
        t, before, after = step(s, T, reverse)
        for n in range(first, last):
            for k in range(4 * H):
                gates[t, n, k] = z[t, n, k] + b[k]
        add_product(gates, t * N + first, 4 * H, h, before * N + first, H, weights, True, tables, last - first)
        for n in range(first, last):
            a, c_before, c_after, y = gates[t, n], c[before, n], c[after, n], h[after, n]
            i, f, g, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
            for k in range(2 * H):
                a[k] = logistic(a[k])
            for k in range(H):
                g[k] = tanh(g[k])
            for k in range(H):
                o[k] = logistic(o[k])
            for k in range(H):
                c_after[k] = f[k] * c_before[k] + i[k] * g[k]
            for k in range(H):
                y[k] = o[k] * tanh(c_after[k])


@jit(parallel=True)
def lstm_threads(h, c, gates, z, weights, b, reverse, threads):
    N = z.shape[1]
    for i in prange(threads):
        lstm_rows(h, c, gates, z, weights, b, reverse, i * N // threads, (i + 1) * N // threads)


@lstm.cpu
def lstm_cpu(h, c, gates, z, W, b, h0, c0, reverse):
    T, N, _H = h.shape[0] - 1, h.shape[1], h.shape[2]
    h[T if reverse else 0] = h0
    c[T if reverse else 0] = c0
    threads = sharing(T, N, W)
    if threads == 1:
        lstm_rows(h, c, gates, z, laid_out(W, True, N), or_zeros(b, W), reverse, 0, N)
    else:
        lstm_threads(h, c, gates, z, laid_out(W, True, N), or_zeros(b, W), reverse, threads)


@jit
def lstm_backward_rows(dz, dh0, dc0, dy, c, gates, weights, reverse, first, last):
    T, N, H = dy.shape
    zero, one, tables = c.dtype.type(0), c.dtype.type(1), product_tables(last - first, H, 4 * H, weights)
    u = np.empty(H, c.dtype)  # tanh c'
    for s in range(T - 1, -1, -1):
        t, before, after = step(s, T, reverse)
        for n in range(first, last):
            a, d, delta, dh_n, dc_n = gates[t, n], dz[t, n], dy[t, n], dh0[n], dc0[n]
            i, f, g, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
            di, df, dg, do = d[:H], d[H : 2 * H], d[2 * H : 3 * H], d[3 * H :]
            c_before, c_after = c[before, n], c[after, n]
            for k in range(H):
                u[k] = tanh(c_after[k])
            for k in range(H):
                dh_n[k] += delta[k]
            for k in range(H):
                dc_n[k] += dh_n[k] * o[k] * (one - u[k] * u[k])
            for k in range(H):
                do[k] = dh_n[k] * u[k] * o[k] * (one - o[k])
            for k in range(H):
                di[k] = dc_n[k] * g[k] * i[k] * (one - i[k])
            for k in range(H):
                df[k] = dc_n[k] * c_before[k] * f[k] * (one - f[k])
            for k in range(H):
                dg[k] = dc_n[k] * i[k] * (one - g[k] * g[k])
            for k in range(H):
                dc_n[k] *= f[k]
            for k in range(H):
                dh_n[k] = zero
        add_product(dh0, first, H, dz, t * N + first, 4 * H, weights, False, tables, last - first)


@jit(parallel=True)
def lstm_backward_threads(dz, dh0, dc0, dy, c, gates, weights, reverse, threads):
    N = dy.shape[1]
    for i in prange(threads):
        lstm_backward_rows(dz, dh0, dc0, dy, c, gates, weights, reverse, i * N // threads, (i + 1) * N // threads)


@lstm_backward.cpu
def lstm_backward_cpu(dz, dh0, dc0, dy, dhn, dcn, c, gates, W, reverse):
    dh0[...] = dhn
    dc0[...] = dcn
    T, N, _H = dy.shape
    threads = sharing(T, N, W)
    if threads == 1:
        lstm_backward_rows(dz, dh0, dc0, dy, c, gates, laid_out(W, False, N), reverse, 0, N)
    else:
        lstm_backward_threads(dz, dh0, dc0, dy, c, gates, laid_out(W, False, N), reverse, threads)


@jit
def gru_rows(h, gates, inner, z, weights, b, reverse, first, last):
    T, N, H = inner.shape
    one, tables = h.dtype.type(1), product_tables(last - first, 3 * H, H, weights)
    sums = np.empty((last - first, 3 * H), h.dtype)
    for s in range(T):
        t, before, after = step(s, T, reverse)
        for n in range(last - first):
            for k in range(3 * H):
                sums[n, k] = b[k]
        add_product(sums, 0, 3 * H, h, before * N + first, H, weights, True, tables, last - first)
        for n in range(first, last):
            a, x, gate, a_n, h_before, y = sums[n - first], z[t, n], gates[t, n], inner[t, n], h[before, n], h[after, n]
            r, u, m, an, xn = gate[:H], gate[H : 2 * H], gate[2 * H :], a[2 * H :], x[2 * H :]
            for k in range(2 * H):
                gate[k] = logistic(x[k] + a[k])
            for k in range(H):
                a_n[k] = an[k]
            for k in range(H):
                m[k] = tanh(xn[k] + r[k] * an[k])
            for k in range(H):
                y[k] = (one - u[k]) * m[k] + u[k] * h_before[k]


@jit(parallel=True)
def gru_threads(h, gates, inner, z, weights, b, reverse, threads):
    N = z.shape[1]
    for i in prange(threads):
        gru_rows(h, gates, inner, z, weights, b, reverse, i * N // threads, (i + 1) * N // threads)


@gru.cpu
def gru_cpu(h, gates, inner, z, W, b, h0, reverse):
    T, N, _H = inner.shape
    h[T if reverse else 0] = h0
    threads = sharing(T, N, W)
    if threads == 1:
        gru_rows(h, gates, inner, z, laid_out(W, True, N), or_zeros(b, W), reverse, 0, N)
    else:
        gru_threads(h, gates, inner, z, laid_out(W, True, N), or_zeros(b, W), reverse, threads)


@jit
def gru_backward_rows(dz, da, dh0, dy, h, gates, inner, weights, reverse, first, last):
    T, N, H = dy.shape
    one, tables = h.dtype.type(1), product_tables(last - first, H, 3 * H, weights)
    for s in range(T - 1, -1, -1):
        t, before, _ = step(s, T, reverse)
        for n in range(first, last):
            gate, d, e, delta, dh_n = gates[t, n], dz[t, n], da[t, n], dy[t, n], dh0[n]
            r, u, m, a_n, h_before = gate[:H], gate[H : 2 * H], gate[2 * H :], inner[t, n], h[before, n]
            dr, du, dn, da_n = d[:H], d[H : 2 * H], d[2 * H :], e[2 * H :]
            for k in range(H):
                dh_n[k] += delta[k]
            for k in range(H):
                dn[k] = dh_n[k] * (one - u[k]) * (one - m[k] * m[k])
            for k in range(H):
                du[k] = dh_n[k] * (h_before[k] - m[k]) * u[k] * (one - u[k])
            for k in range(H):
                dr[k] = dn[k] * a_n[k] * r[k] * (one - r[k])
            for k in range(2 * H):
                e[k] = d[k]
            for k in range(H):
                da_n[k] = dn[k] * r[k]
            for k in range(H):
                dh_n[k] *= u[k]
        add_product(dh0, first, H, da, t * N + first, 3 * H, weights, False, tables, last - first)


@jit(parallel=True)
def gru_backward_threads(dz, da, dh0, dy, h, gates, inner, weights, reverse, threads):
    N = dy.shape[1]
    for i in prange(threads):
        gru_backward_rows(dz, da, dh0, dy, h, gates, inner, weights, reverse, i * N // threads, (i + 1) * N // threads)


@gru_backward.cpu
def gru_backward_cpu(dz, da, dh0, dy, dhn, h, gates, inner, W, reverse):
    dh0[...] = dhn
    T, N, _H = dy.shape
    threads = sharing(T, N, W)
    if threads == 1:
        gru_backward_rows(dz, da, dh0, dy, h, gates, inner, laid_out(W, False, N), reverse, 0, N)
    else:
        gru_backward_threads(dz, da, dh0, dy, h, gates, inner, laid_out(W, False, N), reverse, threads)
