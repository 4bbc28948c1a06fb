"""Matrix products on a GPU: the three forms are one tile (``gemm.py``) whose operands are read along p or across it.

nn  A (m, k) along p, B (k, n) across      nt  A (m, k) along p, B (n, k) along p      tn  A (k, m), B (k, n) across
"""

from __future__ import annotations

from typing import Any

from ..matmul import linear, linear_backward_weights, matmul_nn, matmul_nt, matmul_tn, sum_rows
from .device import choose, cuda, device_function, grid
from .gemm import COLUMN_BIAS, PLAIN, ROW_SUMS, Operand, Product, Tile, integer
from .memory import get, get_four
from .multiply import aligned, multiply

# ---------------------------------------------------------------------- a matrix as an operand


def along_p(own: int) -> Any:
    """The operand of a matrix (lines, k), those of all parts below each other; ``sizes[own]`` is the number of lines."""

    def operand(tile: Tile, number: Any, vectors: bool) -> Operand:
        depth = tile.depth

        @device_function
        def begin(sizes, part, line, p, end):
            """(place, how many of the four and those after them are there)"""
            return (part * sizes[own] + line) * sizes[2] + p, integer(end - p if line < sizes[own] else 0)

        @device_function
        def read_one_by_one(M, state, sizes, other):
            at, left = state
            zero = number(0)
            return (
                get(M, at) if left > 0 else zero,
                get(M, at + 1) if left > 1 else zero,
                get(M, at + 2) if left > 2 else zero,
                get(M, at + 3) if left > 3 else zero,
            )

        @device_function
        def read_four(M, state, sizes, other):
            at, left = state
            if left > 0:
                return get_four(M, at)
            return number(0), number(0), number(0), number(0)

        @device_function
        def step(state, sizes):
            return state[0] + depth, integer(state[1] - depth)

        return Operand(True, True, begin, read_four if vectors else read_one_by_one, step)

    return operand


def along_lines(own: int) -> Any:
    """The operand of a matrix (k, lines)."""

    def operand(tile: Tile, number: Any, vectors: bool) -> Operand:
        depth = tile.depth

        @device_function
        def begin(sizes, part, line, p, end):
            """(place, how many p there are from here on, how many lines)"""
            lines = integer(sizes[own] - line)
            return p * sizes[own] + line, integer(end - p if lines > 0 else 0), lines

        @device_function
        def read_one_by_one(M, state, sizes, other):
            at, left, lines = state
            zero = number(0)
            return (
                get(M, at) if left > 0 else zero,
                get(M, at + 1) if left > 0 and lines > 1 else zero,
                get(M, at + 2) if left > 0 and lines > 2 else zero,
                get(M, at + 3) if left > 0 and lines > 3 else zero,
            )

        @device_function
        def read_four(M, state, sizes, other):
            if state[1] > 0:
                return get_four(M, state[0])
            return number(0), number(0), number(0), number(0)

        @device_function
        def step(state, sizes):
            return state[0] + depth * sizes[own], integer(state[1] - depth), state[2]

        return Operand(False, False, begin, read_four if vectors else read_one_by_one, step)

    return operand


@device_function
def whole_matrix(sizes, part):
    return sizes[0], sizes[1], sizes[2]


@device_function
def column_of_part(sizes, part, j):
    return part * sizes[0] * sizes[1] + j


@device_function
def row_of_columns(sizes):
    return sizes[1]


M, N = 0, 1  # where sizes holds them
LIKE_A_MATRIX = (whole_matrix, column_of_part, row_of_columns)
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
