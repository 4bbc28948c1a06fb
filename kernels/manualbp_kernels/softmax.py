"""Softmax over the middle axis of an (outer, K, inner) array. The largest logit is subtracted first: no overflow.

One group of K values is one column [a, :, b]; any axis of any array is the middle of such a view.
"""

import numpy as np

from .cpu.flat import flat
from .cpu.functions import exp
from .cpu.jit import jit, num_threads, prange
from .cpu.pointwise import PARALLEL_PASS, sum_of
from .kernel import kernel

BLOCK = 1 << 10  # numbers of the rows that are worked on at a time


@kernel
def softmax(y, x):
    """y[a,k,b] = e^x[a,k,b] / Σ_j e^x[a,j,b]"""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y[...] = e / e.sum(axis=1, keepdims=True)


@softmax.cpu
def softmax_cpu(y, x):
    outer, K, inner = x.shape
    if inner == 1:
        each_row(flat(y), flat(x), K, False)
        return
    for a in range(outer):
        for b in range(inner):
            largest = x[a, 0, b]
            for k in range(1, K):
                largest = max(largest, x[a, k, b])
            total = x.dtype.type(0)
            for k in range(K):
                y[a, k, b] = exp(x[a, k, b] - largest)
                total += y[a, k, b]
            for k in range(K):
                y[a, k, b] /= total


@kernel
def softmax_backward(dx, dy, y):
    """dx[a,k,b] = y[a,k,b] (dy[a,k,b] − Σ_j dy[a,j,b] y[a,j,b])"""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))


@softmax_backward.cpu
def softmax_backward_cpu(dx, dy, y):
    outer, K, inner = y.shape
    if inner == 1:
        each_row_backward(flat(dx), flat(dy), flat(y), K)
        return
    for a in range(outer):
        for b in range(inner):
            dot = y.dtype.type(0)
            for k in range(K):
                dot += dy[a, k, b] * y[a, k, b]
            for k in range(K):
                dx[a, k, b] = y[a, k, b] * (dy[a, k, b] - dot)


@kernel
def log_softmax(y, x):
    """y[a,k,b] = x[a,k,b] − log Σ_j e^x[a,j,b]"""
    shifted = x - x.max(axis=1, keepdims=True)
    y[...] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@log_softmax.cpu
def log_softmax_cpu(y, x):
    outer, K, inner = x.shape
    if inner == 1:
        each_row(flat(y), flat(x), K, True)
        return
    for a in range(outer):
        for b in range(inner):
            largest = x[a, 0, b]
            for k in range(1, K):
                largest = max(largest, x[a, k, b])
            total = x.dtype.type(0)
            for k in range(K):
                y[a, k, b] = x[a, k, b] - largest
                total += exp(y[a, k, b])
            log_total = np.log(total)
            for k in range(K):
                y[a, k, b] -= log_total


@kernel
def log_softmax_backward(dx, dy, y):
    """dx[a,k,b] = dy[a,k,b] − e^y[a,k,b] Σ_j dy[a,j,b]"""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)


@log_softmax_backward.cpu
def log_softmax_backward_cpu(dx, dy, y):
    outer, K, inner = y.shape
    if inner == 1:
        each_log_row_backward(flat(dx), flat(dy), flat(y), K)
        return
    for a in range(outer):
        for b in range(inner):
            total = y.dtype.type(0)
            for k in range(K):
                total += dy[a, k, b]
            for k in range(K):
                dx[a, k, b] = dy[a, k, b] - exp(y[a, k, b]) * total


# ---------------------------------------------------------------------- groups that are rows: loops that become vectors


@jit
def each_row(y, x, K, logarithm):
    """``softmax`` or ``log_softmax`` of the rows of K numbers of two flat arrays."""
    if x.size < PARALLEL_PASS or num_threads() == 1:
        some_rows(y, x, K, logarithm, 0, x.size // K)
    else:
        parallel_rows(y, x, K, logarithm)


@jit(parallel=True)
def parallel_rows(y, x, K, logarithm):
    threads, rows = num_threads(), x.size // K
    for t in prange(threads):
        some_rows(y, x, K, logarithm, t * rows // threads, (t + 1) * rows // threads)


@jit
def some_rows(y, x, K, logarithm, first, last):
    """Rows first ≤ r < last, some at a time: so few that they stay in the L1 cache, so many that exp is computed in vectors."""
    rows = min(last - first, max(1, BLOCK // K))
    powers = np.empty(max(rows, 0) * K, x.dtype)
    for r in range(first, last, rows):
        begin, end = r * K, min(r + rows, last) * K
        block_of_rows(y[begin:end], x[begin:end], powers[: end - begin], K, logarithm)


@jit
def block_of_rows(y, x, powers, K, logarithm):
    for r in range(0, y.size, K):
        row, result = x[r : r + K], y[r : r + K]
        largest = largest_of(row)
        for k in range(K):
            result[k] = row[k] - largest
    put_powers(powers, y)
    for r in range(0, y.size, K):
        row, result = powers[r : r + K], y[r : r + K]
        total = sum_of(row)
        if logarithm:
            log_total = np.log(total)
            for k in range(K):
                result[k] -= log_total
        else:
            for k in range(K):
                result[k] = row[k] / total


@jit
def each_row_backward(dx, dy, y, K):
    """``softmax_backward`` of the rows of K numbers of flat arrays."""
    for r in range(0, y.size, K):
        slopes, row, result = dy[r : r + K], y[r : r + K], dx[r : r + K]
        dot = dot_of(slopes, row)
        for k in range(K):
            result[k] = row[k] * (slopes[k] - dot)


@jit
def each_log_row_backward(dx, dy, y, K):
    """``log_softmax_backward`` of the rows of K numbers of flat arrays."""
    put_powers(dx, y)
    for r in range(0, y.size, K):
        slopes, result = dy[r : r + K], dx[r : r + K]
        total = sum_of(slopes)
        for k in range(K):
            result[k] = slopes[k] - result[k] * total


@jit
def put_powers(powers, x):
    """powers[i] = e^x[i]"""
    for i in range(x.size):
        powers[i] = exp(x[i])


@jit
def largest_of(row):
    """The largest number of a row, in four runs side by side."""
    a = b = c = d = row[0]
    whole = len(row) - len(row) % 4
    for k in range(0, whole, 4):
        a, b, c, d = max(a, row[k]), max(b, row[k + 1]), max(c, row[k + 2]), max(d, row[k + 3])
    for k in range(whole, len(row)):
        a = max(a, row[k])
    return max(max(a, b), max(c, d))


@jit(reorder=True)
def dot_of(a, b):
    """Σ_k a[k] b[k]"""
    total = a.dtype.type(0)
    for k in range(a.size):
        total += a[k] * b[k]
    return total
