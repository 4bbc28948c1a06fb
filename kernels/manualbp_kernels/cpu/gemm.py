"""The matrix product, told as loops around one register tile. (The ladder: three loops; blocks; a tile; this.)

    for jc  in blocks of NC columns of B                        jc ┌──────┐
      for pc  in blocks of KC rows of B                         pc │▒▒    │ B    one block of B, KC × NC
        pack that block, if it must be turned or is large          └──────┘
        for ic  in blocks of MC rows of A            ic ┌──┐┌──────┐
          for jr  in panels of the B block              │▒ ││▒▒    │ C           MC × KC of A stay in the L2 cache
            for ir  in 6 rows of A                      └──┘└──────┘
              tile: C[6 × 2 vectors] += Σ_p A[·,p] B[p,·]                        12 accumulators in registers, K inside

A is read where it lies: a tile needs six numbers of it for each p, each of them broadcast to a vector, and six row
pointers fit the general registers. B is read a panel at a time, two vectors wide:

    panel of B, packed     p = 0: b₀ … b₃₁   p = 1: b₀ … b₃₁   …            (zeros beyond the last column)

Each C[i,j] is one chain of fused multiply-adds over p, broken only at multiples of KC: the result depends on nothing
but the numbers, not on where a tile begins nor on how many threads share the rows.
"""

import numpy as np

from .jit import jit, num_threads, prange
from .simd import ROWS, VECTORS, copy_row, tile, transpose, vector_bytes

KC = 256  # a panel of B, 256 × 2 vectors, is 32 KiB with AVX-512: it streams through the L1 cache
MC = 40 * ROWS  # 240 × 256 numbers of A are 240 KiB: they stay in the L2 cache
NC = 2048  # 256 × 2048 numbers of B are 2 MiB: they stay in the L3 cache
SMALL = 1 << 16  # a B of so few numbers is read where it lies
PARALLEL_WORK = 1 << 19  # multiplications that pay for waking another thread
BYTES = vector_bytes()

ZERO, OUTPUT, ROW_BIAS, COLUMN_BIAS = 0, 1, 2, 3  # what a sum starts from


@jit
def product(m, n, k, C, ldc, A, a_row, a_step, B, b_row, b_step, start, bias):
    """``gemm`` of whole arrays, shared between threads where it is large enough."""
    if m * n * k < PARALLEL_WORK or num_threads() == 1:
        gemm(m, n, k, C, 0, ldc, A, 0, a_row, a_step, B, 0, b_row, b_step, start, bias, 0)
    else:
        parallel_gemm(m, n, k, C, ldc, A, a_row, a_step, B, b_row, b_step, start, bias)


@jit(parallel=True)
def parallel_gemm(m, n, k, C, ldc, A, a_row, a_step, B, b_row, b_step, start, bias):
    """Each thread computes some columns of C, or some rows where there are more of them."""
    threads = num_threads()
    by_column = n >= m
    size, grain = (n, VECTORS * (BYTES // C.itemsize)) if by_column else (m, ROWS)
    share = -(-size // (threads * grain)) * grain
    bias_moves = start == (COLUMN_BIAS if by_column else ROW_BIAS)
    for t in prange(threads):
        first, last = min(size, t * share), min(size, (t + 1) * share)
        shift = first if bias_moves else 0
        rows, columns = (m, last - first) if by_column else (last - first, n)
        to, of_a, of_b = (first, 0, first * b_step) if by_column else (first * ldc, first * a_row, 0)
        gemm(rows, columns, k, C, to, ldc, A, of_a, a_row, a_step, B, of_b, b_row, b_step, start, bias, shift)


@jit
def gemm(m, n, k, C, c0, ldc, A, a0, a_row, a_step, B, b0, b_row, b_step, start, bias, bias0):
    """C[i,j] = s[i,j] + Σ_p A[i,p] B[p,j] for flat arrays, i < m, j < n, p < k.

    C[i,j] is C[c0 + i·ldc + j], A[i,p] is A[a0 + i·a_row + p·a_step], B[p,j] is B[b0 + p·b_row + j·b_step], with b_row or
    b_step 1; s is 0, C, bias[bias0 + i] or bias[bias0 + j].
    """
    panel = VECTORS * (BYTES // C.itemsize)
    as_it_lies = b_step == 1 and n * k <= SMALL
    packed = np.empty(0 if as_it_lies else min(k, KC) * (min(n, NC) + 2 * panel), C.dtype)
    source, step = (B, b_row) if as_it_lies else (packed, panel)
    skip = (-(packed.ctypes.data // C.itemsize)) % panel
    for jc in range(0, n, NC):
        columns = min(NC, n - jc)
        for pc in range(0, k, KC):
            depth = min(KC, k - pc)
            begin = start if pc == 0 else OUTPUT
            if not as_it_lies:
                pack(packed, skip, B, b0 + pc * b_row + jc * b_step, b_row, b_step, depth, columns)
            for ic in range(0, m, MC):
                for jr in range(0, columns, panel):
                    for i in range(ic, min(m, ic + MC), ROWS):
                        j = jc + jr
                        to, of = c0 + i * ldc + j, a0 + i * a_row + pc * a_step
                        rows, width = min(ROWS, m - i), min(panel, columns - jr)
                        shift = bias0 + (i if begin == ROW_BIAS else j if begin == COLUMN_BIAS else 0)
                        at = b0 + pc * b_row + j if as_it_lies else skip + jr * depth
                        tile(C, to, ldc, A, of, a_row, a_step, source, at, step, depth, rows, width, begin, bias, shift)


@jit
def pack(packed, skip, B, b0, b_row, b_step, k, n):
    """Panels of B, two vectors wide and k long, one after another; turned if B's columns are what lies together."""
    width = BYTES // B.itemsize
    panel = VECTORS * width
    for j in range(0, n, panel):
        at = skip + j * k
        if b_step == 1:
            for p in range(k):
                copy_row(packed, at + p * panel, B, b0 + p * b_row + j, min(panel, n - j))
        else:
            for v in range(0, panel, width):
                for p in range(0, k, width):
                    to, of = at + p * panel + v, b0 + (j + v) * b_step + p
                    transpose(packed, to, panel, B, of, b_step, max(0, n - j - v), min(width, k - p))
