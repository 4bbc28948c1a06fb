"""Matrix products, in the three forms that backpropagation needs, and the sum over rows that gives a bias gradient.

nn  forward through a stored matrix, or δ W        nt  x Wᵀ        tn  δᵀ x
"""

from .cpu.jit import jit
from .kernel import kernel


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
def sum_rows(s, A, beta):
    """s[j] = β s[j] + Σ_i A[i,j]"""
    s[...] = A.sum(axis=0) if beta == 0 else beta * s + A.sum(axis=0)


@jit
def accumulate(C, A, B):
    """C += A B, four rows of C at a time, so that each row of B is read once for four."""
    m, n = C.shape
    k = B.shape[0]
    for i in range(0, m - 3, 4):
        c0, c1, c2, c3 = C[i], C[i + 1], C[i + 2], C[i + 3]
        for p in range(k):
            a0, a1, a2, a3, b = A[i, p], A[i + 1, p], A[i + 2, p], A[i + 3, p], B[p]
            for j in range(n):
                c0[j] += a0 * b[j]
                c1[j] += a1 * b[j]
                c2[j] += a2 * b[j]
                c3[j] += a3 * b[j]
    for i in range(m - m % 4, m):
        c = C[i]
        for p in range(k):
            a, b = A[i, p], B[p]
            for j in range(n):
                c[j] += a * b[j]


@jit
def scale(C, beta):
    """C *= β; with β = 0 the old values are not read, so that a NaN among them is gone."""
    factor = C.dtype.type(beta)
    C = C.ravel()
    if beta == 0:
        C[:] = 0
    elif beta != 1:
        for i in range(C.size):
            C[i] *= factor


@matmul_nn.cpu
def matmul_nn_cpu(C, A, B, beta):
    scale(C, beta)
    accumulate(C, A, B)


@matmul_nt.cpu
def matmul_nt_cpu(C, A, B, beta):
    scale(C, beta)
    accumulate(C, A, B.T.copy())


@matmul_tn.cpu
def matmul_tn_cpu(C, A, B, beta):
    scale(C, beta)
    accumulate(C, A.T, B)


@linear.cpu
def linear_cpu(y, x, W, b):
    for n in range(y.shape[0]):
        if b is None:
            y[n] = 0
        else:
            y[n] = b
    accumulate(y, x, W.T.copy())


@sum_rows.cpu
def sum_rows_cpu(s, A, beta):
    scale(s, beta)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            s[j] += A[i, j]
