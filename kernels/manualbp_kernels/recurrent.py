"""Recurrent layers, all time steps in one call. Time comes first: z (T, N, gates·H) are the input products x Wᵢᵀ + bᵢ.

States have one row more than there are steps: forward in time h[0] is the initial state and step t leads from h[t] to
h[t+1]; in reverse h[T] is the initial state and step t leads from h[t+1] to h[t]. So "the state before each step" is
h[:-1] (in reverse h[1:]), one contiguous array.
"""

import numpy as np

from .cpu.gemm import OUTPUT, product
from .cpu.jit import jit
from .kernel import kernel
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


@jit
def step(s, T, reverse):
    """``order``, one entry at a time: s counts computations."""
    return (T - 1 - s, T - s, T - 1 - s) if reverse else (s, s, s + 1)


@jit
def add_product(C, A, B):
    """C += A B for C-ordered matrices."""
    m, n = C.shape
    k = len(B)
    product(m, n, k, C.ravel(), n, A.ravel(), k, 1, B.ravel(), n, 1, OUTPUT, C.ravel())


@jit
def begin(a, z, b):
    """a = z + b, the start of a gate's sum."""
    for n in range(a.shape[0]):
        for k in range(a.shape[1]):
            a[n, k] = z[n, k] if b is None else z[n, k] + b[k]


@rnn.cpu
def rnn_cpu(h, z, W, b, h0, relu, reverse):
    T, N, H = z.shape
    Wt = W.T.copy()
    h[T if reverse else 0] = h0
    for s in range(T):
        t, before, after = step(s, T, reverse)
        a = h[after]
        begin(a, z[t], b)
        add_product(a, h[before], Wt)
        for n in range(N):
            for k in range(H):
                a[n, k] = (max(a[n, k], 0) if a[n, k] == a[n, k] else a[n, k]) if relu else np.tanh(a[n, k])


@rnn_backward.cpu
def rnn_backward_cpu(dz, dh0, dy, dhn, h, W, relu, reverse):
    T, N, H = dz.shape
    one = h.dtype.type(1)
    dh0[...] = dhn
    for s in range(T - 1, -1, -1):
        t, _, after = step(s, T, reverse)
        for n in range(N):
            for k in range(H):
                y = h[after, n, k]
                slope = (one if y > 0 else one - one) if relu else one - y * y
                dz[t, n, k] = (dy[t, n, k] + dh0[n, k]) * slope
        dh0[...] = 0
        add_product(dh0, dz[t], W)


@lstm.cpu
def lstm_cpu(h, c, gates, z, W, b, h0, c0, reverse):
    T, N, H = h.shape[0] - 1, h.shape[1], h.shape[2]
    Wt = W.T.copy()
    h[T if reverse else 0] = h0
    c[T if reverse else 0] = c0
    for s in range(T):
        t, before, after = step(s, T, reverse)
        a = gates[t]
        begin(a, z[t], b)
        add_product(a, h[before], Wt)
        for n in range(N):
            for k in range(H):
                i, f = logistic(a[n, k]), logistic(a[n, H + k])
                g, o = np.tanh(a[n, 2 * H + k]), logistic(a[n, 3 * H + k])
                a[n, k], a[n, H + k], a[n, 2 * H + k], a[n, 3 * H + k] = i, f, g, o
                c[after, n, k] = f * c[before, n, k] + i * g
                h[after, n, k] = o * np.tanh(c[after, n, k])


@lstm_backward.cpu
def lstm_backward_cpu(dz, dh0, dc0, dy, dhn, dcn, c, gates, W, reverse):
    T, N, H = dy.shape
    one = c.dtype.type(1)
    dh0[...] = dhn
    dc0[...] = dcn
    for s in range(T - 1, -1, -1):
        t, before, after = step(s, T, reverse)
        a, d = gates[t], dz[t]
        for n in range(N):
            for k in range(H):
                i, f, g, o = a[n, k], a[n, H + k], a[n, 2 * H + k], a[n, 3 * H + k]
                dh, u = dy[t, n, k] + dh0[n, k], np.tanh(c[after, n, k])
                dc = dc0[n, k] + dh * o * (one - u * u)
                d[n, k] = dc * g * i * (one - i)
                d[n, H + k] = dc * c[before, n, k] * f * (one - f)
                d[n, 2 * H + k] = dc * i * (one - g * g)
                d[n, 3 * H + k] = dh * u * o * (one - o)
                dc0[n, k] = dc * f
        dh0[...] = 0
        add_product(dh0, d, W)


@gru.cpu
def gru_cpu(h, gates, inner, z, W, b, h0, reverse):
    T, N, H = inner.shape
    one = h.dtype.type(1)
    Wt = W.T.copy()
    a = np.empty((N, 3 * H), h.dtype)
    h[T if reverse else 0] = h0
    for s in range(T):
        t, before, after = step(s, T, reverse)
        for n in range(N):
            if b is None:
                a[n] = 0
            else:
                a[n] = b
        add_product(a, h[before], Wt)
        for n in range(N):
            for k in range(H):
                r = logistic(z[t, n, k] + a[n, k])
                u = logistic(z[t, n, H + k] + a[n, H + k])
                m = np.tanh(z[t, n, 2 * H + k] + r * a[n, 2 * H + k])
                gates[t, n, k], gates[t, n, H + k], gates[t, n, 2 * H + k] = r, u, m
                inner[t, n, k] = a[n, 2 * H + k]
                h[after, n, k] = (one - u) * m + u * h[before, n, k]


@gru_backward.cpu
def gru_backward_cpu(dz, da, dh0, dy, dhn, h, gates, inner, W, reverse):
    T, N, H = dy.shape
    one = h.dtype.type(1)
    dh0[...] = dhn
    for s in range(T - 1, -1, -1):
        t, before, _ = step(s, T, reverse)
        for n in range(N):
            for k in range(H):
                r, u, m = gates[t, n, k], gates[t, n, H + k], gates[t, n, 2 * H + k]
                dh = dy[t, n, k] + dh0[n, k]
                dn = dh * (one - u) * (one - m * m)
                du = dh * (h[before, n, k] - m) * u * (one - u)
                dr = dn * inner[t, n, k] * r * (one - r)
                dz[t, n, k], dz[t, n, H + k], dz[t, n, 2 * H + k] = dr, du, dn
                da[t, n, k], da[t, n, H + k], da[t, n, 2 * H + k] = dr, du, dn * r
                dh0[n, k] = dh * u
        add_product(dh0, da[t], W)
