"""Matrix products on a GPU: the three forms are one tile (``gemm.py``) whose operands are read along p or across it.

nn  A (m, k) along p, B (k, n) across      nt  A (m, k) along p, B (n, k) along p      tn  A (k, m), B (k, n) across
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..matmul import linear, linear_backward_weights, matmul_nn, matmul_nt, matmul_tn, sum_rows
from .device import choose, cuda, device_function, grid
from .gemm import COLUMN_BIAS, PLAIN, ROW_SUMS, Operand, Product, Tile, integer
from .memory import address, get_four_from, get_from
from .multiply import aligned, multiply

# ---------------------------------------------------------------------- a matrix as an operand


def along_p(own: int) -> Any:
    """The operand of a matrix (lines, k); ``sizes[own]`` is the number of lines."""

    def operand(tile: Tile, number: Any, vectors: bool) -> Operand:
        depth = tile.depth

        @device_function
        def begin(sizes, p):
            return p

        @device_function
        def step(sizes, p):
            return integer(p + depth)

        @device_function
        def place(array, sizes, part, line):
            """Where the line begins. One that is not there is the last one, whose sums nobody writes."""
            return address(array, min(line, sizes[own] - 1) * sizes[2])

        @device_function
        def read_one_by_one(M, line, at, other, sizes, p, left):
            zero = number(0)
            return (
                get_from(M, line, at) if left > p else zero,
                get_from(M, line, at + 1) if left > p + 1 else zero,
                get_from(M, line, at + 2) if left > p + 2 else zero,
                get_from(M, line, at + 3) if left > p + 3 else zero,
            )

        @device_function
        def read_four(M, line, at, other, sizes, p, left):
            if left > p:
                return get_four_from(M, line, at)
            return number(0), number(0), number(0), number(0)

        return Operand(True, True, begin, step, place, read_four if vectors else read_one_by_one)

    return operand


def along_lines(own: int) -> Any:
    """The operand of a matrix (k, lines)."""

    def operand(tile: Tile, number: Any, vectors: bool) -> Operand:
        depth = tile.depth

        @device_function
        def begin(sizes, p):
            """Where row p begins."""
            return p * sizes[own]

        @device_function
        def step(sizes, row):
            return row + depth * sizes[own]

        @device_function
        def column(array, sizes, line):
            return address(array, min(line, sizes[own] - 1))

        @device_function
        def place_one_by_one(array, sizes, part, line):
            """The lines, and the last one for each that is not there."""
            return (
                column(array, sizes, line),
                column(array, sizes, line + 1),
                column(array, sizes, line + 2),
                column(array, sizes, line + 3),
            )

        @device_function
        def read_one_by_one(M, lines, row, other, sizes, p, left):
            if left > p:
                a, b, c, d = lines
                return get_from(M, a, row), get_from(M, b, row), get_from(M, c, row), get_from(M, d, row)
            return number(0), number(0), number(0), number(0)

        @device_function
        def place(array, sizes, part, line):
            return address(array, min(line, sizes[own] - 4))

        @device_function
        def read_four(M, line, row, other, sizes, p, left):
            if left > p:
                return get_four_from(M, line, row)
            return number(0), number(0), number(0), number(0)

        find, read = (place, read_four) if vectors else (place_one_by_one, read_one_by_one)
        return Operand(False, False, begin, step, find, read)

    return operand


@device_function
def whole_matrix(sizes, part):
    return sizes[0], sizes[1], sizes[2]


@device_function
def columns_side_by_side(sizes, part, j):
    return np.int64(j), np.int64(j + 1), np.int64(j + 2), np.int64(j + 3)


@device_function
def row_of_columns(sizes):
    return sizes[1]


M, N = 0, 1  # where sizes holds them
LIKE_A_MATRIX = (whole_matrix, lambda tile, vectors: columns_side_by_side, row_of_columns)
NN = Product("nn", along_p(M), along_lines(N), *LIKE_A_MATRIX)
NT = Product("nt", along_p(M), along_p(N), *LIKE_A_MATRIX)
TN = Product("tn", along_lines(M), along_lines(N), *LIKE_A_MATRIX)


def matrices(product: Product, C: Any, A: Any, B: Any, beta: float, m: int, n: int, k: int, **more: Any) -> None:
    """``multiply`` contiguous matrices, by whole fours where their rows have such and they begin at one."""
    a_row = m if product is TN else k
    b_row = k if product is NT else n
    vectors = a_row % 4 == 0 and b_row % 4 == 0 and aligned(A, B)
    multiply(product, C, A, B, beta, m, n, k, vectors=vectors, whole=n % 4 == 0 and aligned(C), **more)


@matmul_nn.cuda
def matmul_nn_cuda(C, A, B, beta):
    n, k = C.shape[-1], A.shape[-1]
    matrices(NN, C, A, B, beta, C.size // n, n, k)


@matmul_nt.cuda
def matmul_nt_cuda(C, A, B, beta):
    matrices(NT, C, A, B, beta, *C.shape, A.shape[1])


@matmul_tn.cuda
def matmul_tn_cuda(C, A, B, beta):
    matrices(TN, C, A, B, beta, *C.shape, A.shape[0])


@linear.cuda
def linear_cuda(y, x, W, b):
    n, k = y.shape[-1], x.shape[-1]
    matrices(NT, y, x, W, 0.0, y.size // n, n, k, extra=PLAIN if b is None else COLUMN_BIAS, array=b, activated=True)


@linear_backward_weights.cuda
def linear_backward_weights_cuda(dW, db, dy, x):
    m, n = dW.shape
    matrices(TN, dW, dy, x, 1.0, m, n, x.size // n, extra=PLAIN if db is None else ROW_SUMS, array=db)


# ---------------------------------------------------------------------- the sum over rows

ACROSS, DOWN = choose((32, 16), (3, 2))  # threads of a block: columns side by side, and rows shared out


@grid
def sum_rows_grid(s, A, beta):
    """A thread adds every DOWN-th row of a column, then the first one adds what the others have, in order."""
    parts = cuda.shared.array((DOWN, ACROSS), A.dtype)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    column = cuda.blockIdx.x * ACROSS + x
    total = A.dtype.type(0)
    if column < s.size:
        for i in range(y, A.shape[0], DOWN):
            total += A[i, column]
    parts[y, x] = total
    cuda.syncthreads()
    if y == 0 and column < s.size:
        for i in range(1, DOWN):
            total += parts[i, x]
        if beta != 0:
            total += A.dtype.type(beta) * s[column]
        s[column] = total


@sum_rows.cuda
def sum_rows_cuda(s, A, beta):
    sum_rows_grid[-(-s.size // ACROSS), (ACROSS, DOWN)](s, A, beta)
