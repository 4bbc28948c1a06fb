"""Matrix products, in the three forms that backpropagation needs, and the sum over rows that gives a bias gradient.

nn  forward through a stored matrix, or δ W        nt  x Wᵀ        tn  δᵀ x
In ``matmul_nn``, ``linear`` and ``linear_backward_weights`` the rows of C, A, x, y, dy may lie along several axes.
"""

import numpy as np

from .cpu.flat import flat
from .cpu.gemm import COLUMN_BIAS, OUTPUT, ROW_BIAS, ZERO, product, put_turned
from .cpu.jit import jit, num_threads, prange
from .cpu.pointwise import PARALLEL_PASS
from .kernel import kernel

FEW = 4  # rows of C up to which a product is bound by reading B once, and packing it would read it twice
FEW_INPUTS = 32  # numbers in a row of dW up to which it is computed turned over
SHORT = 8  # numbers in a row of which vectors cannot be made
NEAR = 1 << 12  # numbers of C that stay near while several outer products are added
GRAIN = 32  # rows or columns that stay together when they are shared out: the same ones are ends for any number of threads
TINIEST = 1 << 9  # multiplications up to which sums one by one are done before vectors have been set up


@kernel
def matmul_nn(C, A, B, beta):
    """C[i,j] = β C[i,j] + Σ_p A[i,p] B[p,j]"""
    C[...] = A @ B if beta == 0 else beta * C + A @ B


@kernel
def matmul_nt(C, A, B, beta):
    """C[i,j] = β C[i,j] + Σ_p A[i,p] B[j,p]"""
    C[...] = A @ B.T if beta == 0 else beta * C + A @ B.T


@kernel
def matmul_tn(C, A, B, beta):
    """C[i,j] = β C[i,j] + Σ_p A[p,i] B[p,j]"""
    C[...] = A.T @ B if beta == 0 else beta * C + A.T @ B


@kernel
def linear(y, x, W, b):
    """y[n,o] = Σ_i W[o,i] x[n,i] + b[o]   (b may be None)"""
    y[...] = x @ W.T if b is None else x @ W.T + b


@kernel
def linear_backward_weights(dW, db, dy, x):
    """dW[o,i] += Σ_n dy[n,o] x[n,i];  db[o] += Σ_n dy[n,o]   (db may be None)"""
    dy, x = dy.reshape(-1, dW.shape[0]), x.reshape(-1, dW.shape[1])
    dW += dy.T @ x
    if db is not None:
        db += dy.sum(axis=0)


@kernel
def sum_rows(s, A, beta):
    """s[j] = β s[j] + Σ_i A[i,j]"""
    s[...] = A.sum(axis=0) if beta == 0 else beta * s + A.sum(axis=0)


@jit
def scale(C, beta):
    """C *= β; with β = 0 the old values are not read, so that a NaN among them is gone."""
    factor = C.dtype.type(beta)
    C = flat(C)
    if beta == 0:
        C[:] = 0
    elif beta != 1:
        for i in range(C.size):
            C[i] *= factor


@jit
def rows_of(a):
    """How many rows lie along all axes but the last. (A quotient of sizes takes longer than a tiny product.)"""
    rows = 1
    for axis in range(a.ndim - 1):
        rows *= a.shape[axis]
    return rows


@jit
def begin(C, beta):
    """What the sums of a product start from: nothing, or C times β."""
    if beta == 0:
        return ZERO
    scale(C, beta)
    return OUTPUT


@matmul_nn.cpu
def matmul_nn_cpu(C, A, B, beta):
    m, n, k = rows_of(C), C.shape[-1], A.shape[-1]
    c, a, b = flat(C), flat(A), flat(B)
    if beta == 0 and m * n * k <= TINIEST:
        put_sums(c, a, b, m, n, k)
        return
    start = begin(c, beta)
    if m <= FEW:
        few_rows(c, a, b, m, n, k, start)
    else:
        product(m, n, k, c, n, a, k, 1, b, n, 1, start, c)


@matmul_nt.cpu
def matmul_nt_cpu(C, A, B, beta):
    m, n = C.shape
    k = A.shape[1]
    c, a, b = flat(C), flat(A), flat(B)
    start = begin(c, beta)
    if m <= FEW:
        dot_products(c, n, 1, a, b, m, n, k, start, c)
    else:
        product(m, n, k, c, n, a, k, 1, b, 1, k, start, c)


@matmul_tn.cpu
def matmul_tn_cpu(C, A, B, beta):
    m, n = C.shape
    k = A.shape[0]
    c, a, b = flat(C), flat(A), flat(B)
    start = begin(c, beta)
    if m * n * k <= TINIEST:
        if start == ZERO:
            c[:] = 0
        add_outer_products(c, a, b, k, m, n)
    else:
        product(m, n, k, c, n, a, 1, m, b, n, 1, start, c)


@linear.cpu
def linear_cpu(y, x, W, b):
    m, n, k = rows_of(y), y.shape[-1], x.shape[-1]
    c, a, w = flat(y), flat(x), flat(W)
    start, bias = (ZERO, c) if b is None else (COLUMN_BIAS, b)
    if m * n * k <= TINIEST:
        put_dots(c, a, w, m, n, k, start, bias)
    elif m <= FEW:
        dot_products(c, n, 1, a, w, m, n, k, start, bias)
    elif n <= FEW:
        dot_products(c, 1, n, w, a, n, m, k, ZERO if b is None else ROW_BIAS, bias)
    else:
        product(m, n, k, c, n, a, k, 1, w, 1, k, start, bias)


@linear_backward_weights.cpu
def linear_backward_weights_cpu(dW, db, dy, x):
    m, n, k = rows_of(x), dy.shape[-1], x.shape[-1]
    dw, d, a = flat(dW), flat(dy), flat(x)
    if db is not None:
        add_row_sums(db, d, m)
    if m * n * k <= TINIEST or m <= FEW:
        add_outer_products(dw, d, a, m, n, k)
    elif k <= FEW_INPUTS and n >= 2 * k:
        add_turned_product(dw, d, a, m, n, k)
    else:
        product(n, k, m, dw, k, d, 1, n, a, k, 1, OUTPUT, dw)


@jit
def add_turned_product(dW, dy, x, m, n, k):
    """dW += (xᵀ dy)ᵀ: then it is x that is turned for the tiles, the smaller one, and dy is read where it lies."""
    turned, sums = np.empty(n * k, dW.dtype), np.empty(n * k, dW.dtype)
    product(k, n, m, turned, n, x, 1, k, dy, n, 1, ZERO, turned)
    put_turned(sums, 0, k, turned, k, n)
    for i in range(len(dW)):
        dW[i] += sums[i]


@jit
def put_sums(C, A, B, m, n, k):
    """C[i,j] = Σ_p A[i,p] B[p,j]: sum by sum, or all of a row side by side where they are many and short."""
    if not 0 < k < n:
        for i in range(m):
            for j in range(n):
                s = C.dtype.type(0)
                for p in range(k):
                    s += A[i * k + p] * B[p * n + j]
                C[i * n + j] = s
        return
    for i in range(m):
        to, a = i * n, A[i * k]
        for j in range(n):
            C[to + j] = a * B[j]
        for p in range(1, k):
            a, of = A[i * k + p], p * n
            for j in range(n):
                C[to + j] += a * B[of + j]


@jit
def add_outer_products(C, A, B, m, n, k):
    """C[i,j] += Σ_p A[p,i] B[p,j] for few p, or a small C."""
    if m > 1 and k < SHORT:
        add_sums(C, A, B, m, n, k)
    elif n * k <= NEAR:
        add_near_outer_products(C, A, B, m, n, k)
    elif n * k < PARALLEL_PASS or num_threads() == 1:
        add_outer_rows(C, A, B, m, n, k, 0, n)
    else:
        parallel_add_outer_rows(C, A, B, m, n, k)


@jit
def add_sums(C, A, B, m, n, k):
    """``add_outer_products``, each sum by itself."""
    for i in range(n):
        for j in range(k):
            s, a, b = C.dtype.type(0), i, j
            while b < m * k:  # not a range, of which LLVM would make vectors: that takes longer than the sum
                s += A[a] * B[b]
                a += n
                b += k
            C[i * k + j] += s


@jit
def add_near_outer_products(C, A, B, m, n, k):
    """``add_outer_products``, one after the other."""
    for p in range(m):
        for i in range(n):
            a, to, of = A[p * n + i], i * k, p * k
            for j in range(k):
                C[to + j] += a * B[of + j]


@jit
def add_outer_rows(C, A, B, m, n, k, first, last):
    """``add_outer_products`` of the rows first ≤ i < last of C: a row of C, and rows of B added to it."""
    for i in range(first, last):
        c = C[i * k : (i + 1) * k]
        for p in range(m):
            a, b = A[p * n + i], B[p * k : (p + 1) * k]
            for j in range(k):
                c[j] += a * b[j]


@jit(parallel=True)
def parallel_add_outer_rows(C, A, B, m, n, k):
    threads = num_threads()
    for t in prange(threads):
        add_outer_rows(C, A, B, m, n, k, t * n // threads, (t + 1) * n // threads)


@jit
def put_dots(C, A, B, m, n, k, start, bias):
    """C[i,j] = s + Σ_p A[i,p] B[j,p]: sum by sum, or all of a row side by side where they are many and short."""
    for i in range(m):
        to, of = i * n, i * k
        if n <= 2 * k:
            for j in range(n):
                s = bias[j] if start == COLUMN_BIAS else C.dtype.type(0)
                for p in range(k):
                    s += A[of + p] * B[j * k + p]
                C[to + j] = s
            continue
        for j in range(n):
            C[to + j] = bias[j] if start == COLUMN_BIAS else C.dtype.type(0)
        for p in range(k):
            a = A[of + p]
            for j in range(n):
                C[to + j] += a * B[j * k + p]


@jit
def dot_products(C, c_row, c_step, A, B, m, n, k, start, bias):
    """C[i·c_row + j·c_step] = s + Σ_p A[i,p] B[j,p] for few i < m, j < n: bound by reading B, which is shared out.

    s is 0, C, bias[i] or bias[j].
    """
    if n * k < PARALLEL_PASS or num_threads() == 1:
        dot_rows(C, c_row, c_step, A, B, m, k, start, bias, 0, n)
    else:
        parallel_dot_products(C, c_row, c_step, A, B, m, n, k, start, bias)


@jit(parallel=True)
def parallel_dot_products(C, c_row, c_step, A, B, m, n, k, start, bias):
    threads = num_threads()
    share = -(-n // (threads * GRAIN)) * GRAIN
    for t in prange(threads):
        dot_rows(C, c_row, c_step, A, B, m, k, start, bias, min(n, t * share), min(n, (t + 1) * share))


@jit(reorder=True)
def dot_rows(C, c_row, c_step, A, B, m, k, start, bias, first, last):
    """``dot_products`` for first ≤ j < last: a row of A with four rows of B at a time."""
    for i in range(m):
        a, to = A[i * k : (i + 1) * k], i * c_row
        for j in range(first, last, 4):
            # Past the end the last row is taken again: the same sum is written twice.
            j1, j2, j3 = min(j + 1, last - 1), min(j + 2, last - 1), min(j + 3, last - 1)
            b0, b1 = B[j * k : (j + 1) * k], B[j1 * k : (j1 + 1) * k]
            b2, b3 = B[j2 * k : (j2 + 1) * k], B[j3 * k : (j3 + 1) * k]
            s0 = s1 = s2 = s3 = C.dtype.type(0)
            for p in range(k):
                s0 += a[p] * b0[p]
                s1 += a[p] * b1[p]
                s2 += a[p] * b2[p]
                s3 += a[p] * b3[p]
            c0, c1, c2, c3 = to + j * c_step, to + j1 * c_step, to + j2 * c_step, to + j3 * c_step
            if start == COLUMN_BIAS:
                s0, s1, s2, s3 = s0 + bias[j], s1 + bias[j1], s2 + bias[j2], s3 + bias[j3]
            elif start == ROW_BIAS:
                s0, s1, s2, s3 = s0 + bias[i], s1 + bias[i], s2 + bias[i], s3 + bias[i]
            elif start == OUTPUT:
                s0, s1, s2, s3 = s0 + C[c0], s1 + C[c1], s2 + C[c2], s3 + C[c3]
            C[c0], C[c1], C[c2], C[c3] = s0, s1, s2, s3


@jit
def few_rows(C, A, B, m, n, k, start):
    """C[i,j] = s + Σ_p A[i,p] B[p,j] for few rows of A, s = 0 or C: bound by reading B, which is shared out."""
    if n * k < PARALLEL_PASS or num_threads() == 1:
        add_rows(C, A, B, m, n, k, start, 0, n)
    else:
        parallel_few_rows(C, A, B, m, n, k, start)


@jit(parallel=True)
def parallel_few_rows(C, A, B, m, n, k, start):
    threads = num_threads()
    share = -(-n // (threads * GRAIN)) * GRAIN
    for t in prange(threads):
        add_rows(C, A, B, m, n, k, start, min(n, t * share), min(n, (t + 1) * share))


@jit
def add_rows(C, A, B, m, n, k, start, first, last):
    """C[i,j] = s + Σ_p A[i,p] B[p,j], first ≤ j < last: rows of B added up, four at a time."""
    for i in range(m):
        c, a = C[i * n + first : i * n + last], A[i * k : (i + 1) * k]
        if start == ZERO:
            c[:] = 0
        whole = k - k % 4
        for p in range(0, whole, 4):
            a0, a1, a2, a3 = a[p], a[p + 1], a[p + 2], a[p + 3]
            b0, b1 = B[p * n + first : p * n + last], B[(p + 1) * n + first : (p + 1) * n + last]
            b2, b3 = B[(p + 2) * n + first : (p + 2) * n + last], B[(p + 3) * n + first : (p + 3) * n + last]
            for j in range(len(c)):
                c[j] += a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
        for p in range(whole, k):
            a0, b0 = a[p], B[p * n + first : p * n + last]
            for j in range(len(c)):
                c[j] += a0 * b0[j]


@jit
def add_columns(s, A, rows, first, last):
    """s[j] += Σ_i A[i,j] for the columns first ≤ j < last of a flat array whose rows are as long as s: four rows at a time."""
    n, part = len(s), s[first:last]  # of A[of + j], j from ``first`` on, LLVM makes no vectors: Numba asks if it is negative
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        of = i * n
        a0, a1 = A[of + first : of + last], A[of + n + first : of + n + last]
        a2, a3 = A[of + 2 * n + first : of + 2 * n + last], A[of + 3 * n + first : of + 3 * n + last]
        for j in range(len(part)):
            part[j] = part[j] + a0[j] + a1[j] + a2[j] + a3[j]
    for i in range(whole, rows):
        a0 = A[i * n + first : i * n + last]
        for j in range(len(part)):
            part[j] += a0[j]


@jit(parallel=True)
def parallel_add_columns(s, A, rows):
    threads = num_threads()
    share = -(-len(s) // (threads * GRAIN)) * GRAIN
    for t in prange(threads):
        add_columns(s, A, rows, min(len(s), t * share), min(len(s), (t + 1) * share))


@jit
def add_row_sums(s, A, rows):
    """s[j] += Σ_i A[i,j] for a flat array whose rows are as long as s."""
    if A.size >= PARALLEL_PASS and num_threads() > 1:
        parallel_add_columns(s, A, rows)
    else:
        add_columns(s, A, rows, 0, len(s))


@sum_rows.cpu
def sum_rows_cpu(s, A, beta):
    scale(s, beta)
    add_row_sums(s, flat(A), rows_of(A))
