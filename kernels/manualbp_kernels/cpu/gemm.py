"""The matrix product, told as loops around one register tile. (The ladder: three loops; blocks; a tile; this.)

    for jc  in blocks of NC columns of B                        jc ┌──────┐
      for pc  in blocks of KC rows of B                         pc │▒▒    │ B    KC × NC of B, packed if large or turned,
        for ic  in blocks of MC rows of A            ic ┌──┐┌──────┐                stay in the L3 cache
          for jr  in panels of the B block              │▒ ││▒▒    │ C           MC × KC of A, packed if large or turned,
            for ir  in panels of the A block            └──┘└──────┘                stay in the L2 cache
              tile: C[8 × 3 vectors] += Σ_p A[·,p] B[p,·]                        24 sums in registers, p inside
                                                                                 (6 × 2 and 12 where registers are few)

    panel of A, 8 rows       p = 0: a₀ … a₇    p = 1: a₀ … a₇    …     each number is repeated into a vector
    panel of B, 3 vectors    p = 0: b₀ … b₄₇   p = 1: b₀ … b₄₇   …     zeros beyond the last column

Where the numbers lie the tile learns from tables: A[i,p] is A[rows[i] + a_steps[p]], row p of B begins at B[b_steps[p]].
So a matrix is read packed or where it is, and a convolution (``conv.py``) reads its patches straight from the image.

Each C[i,j] is one chain of fused multiply-adds over p for every KC of them: the result depends on nothing but the
numbers, not on where a tile begins nor on how many threads share the work.

Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008); Van Zee and van de Geijn,
"BLIS" (2015), whose names the loops have.
"""

import numpy as np

from .jit import jit, num_threads, prange
from .simd import HEIGHTS, ROWS, VECTORS, copy_rows, lanes, tile, transpose, vector_bytes

KC = 512  # a panel of A, 8 × 512, is 16 KiB: it stays in the L1 cache while a panel of B streams by
MC = 30 * ROWS  # 240 × 512 numbers of A are 480 KiB: they stay in the L2 cache
NC = 3072  # 512 × 3072 numbers of B are 6 MiB: they stay in the L3 cache
SMALL = 1 << 11  # an A of so few numbers is read where it lies even if that is column by column
SMALL_B = 1 << 12  # a B of so few numbers is read where it lies
LARGE_A = 1 << 17  # an A of more numbers is packed: its rows lie on too many pages of memory
PACKED_ROWS = 16  # rows packed at a time: while one panel is written, the lines that the next one reads stay in the cache
PARALLEL_WORK = 1 << 19  # multiplications that pay for waking another thread
BYTES = vector_bytes()
SEVERAL_HEIGHTS = len(HEIGHTS) > 1

ZERO, OUTPUT, ROW_BIAS, COLUMN_BIAS = 0, 1, 2, 3  # what the sums are added to


@jit
def product(m, n, k, C, ldc, A, a_row, a_step, B, b_row, b_step, start, bias):
    """``gemm`` of whole arrays, shared between threads where it is large enough."""
    if m * n * k < PARALLEL_WORK or num_threads() == 1:
        gemm(m, n, k, C, 0, ldc, A, 0, a_row, a_step, B, 0, b_row, b_step, start, bias, 0)
    else:
        parallel_gemm(m, n, k, C, ldc, A, a_row, a_step, B, b_row, b_step, start, bias)


@jit(parallel=True)
def parallel_gemm(m, n, k, C, ldc, A, a_row, a_step, B, b_row, b_step, start, bias):
    """Each thread computes some columns of C and packs B for these, or some rows where there are many more of them."""
    threads = num_threads()
    by_column = 2 * n >= m
    size, grain = (n, lanes(C)) if by_column else (m, 1)
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

    C[i,j] is C[c0 + i·ldc + j], A[i,p] is A[a0 + i·a_row + p·a_step], B[p,j] is B[b0 + p·b_row + j·b_step], with a_row or
    a_step 1 and b_row or b_step 1; s is 0, C, bias[bias0 + i] or bias[bias0 + j].
    """
    panel = panel_of(n, lanes(C))
    pack_a = (m * k > SMALL and a_step != 1) or (m * k > LARGE_A and n > 4 * panel)
    pack_b = b_step != 1 or (n * k > SMALL_B and m > 4 * ROWS)
    deepest, widest, highest = even_share(k, KC), min(n, NC), even_share(m, MC)
    size_a, size_b = packed_size(deepest, highest, ROWS) * pack_a, packed_size(deepest, widest, panel) * pack_b
    packed = np.empty(size_a + size_b + panel, C.dtype) if pack_a or pack_b else C
    at_b = aligned(packed)
    at_a = at_b + size_b
    tables = np.empty(highest + 2 * deepest, np.int64)
    rows, a_steps, b_steps = tables[:highest], tables[highest : highest + deepest], tables[highest + deepest :]
    fill_steps(a_steps, ROWS if pack_a else a_step)
    fill_steps(b_steps, panel if pack_b else b_row)
    for jc in range(0, n, NC):
        columns = min(NC, n - jc)
        for pc in range(0, k, deepest):
            depth = min(deepest, k - pc)
            begin = start if pc == 0 else OUTPUT
            of_b, b_panel = b0 + pc * b_row + jc * b_step, 1
            if pack_b:
                pack(packed, at_b, panel, B, of_b, b_row, b_step, depth, columns)
                of_b, b_panel = at_b, depth + 1
            for ic in range(0, m, highest):
                height = min(highest, m - ic)
                of_a = a0 + ic * a_row + pc * a_step
                if pack_a:
                    pack_tiles(packed, at_a, rows, A, of_a, a_step, a_row, depth, height)
                    of_a = at_a
                else:
                    fill_steps(rows, a_row)
                shift = bias0 + (ic if begin == ROW_BIAS else jc if begin == COLUMN_BIAS else 0)
                to = c0 + ic * ldc + jc
                a, b = (packed if pack_a else A), (packed if pack_b else B)
                block(
                    height, columns, depth, panel, C, to, ldc, a, of_a, rows, a_steps, b, of_b, b_panel, b_steps,
                    begin, bias, shift,
                )  # fmt: skip


@jit
def block(m, n, k, panel, C, c0, ldc, A, a0, rows, a_steps, B, b0, b_panel, b_steps, start, bias, bias0):
    """The two inner loops: panels of B, column j of which lies b_panel·j further, and panels of A."""
    tiles = -(-m // ROWS)
    for j in range(0, n, panel):
        last = 0
        for t in range(tiles):
            i, last = last, first_row(t + 1, tiles, m)
            height, width = last - i, min(panel, n - j)
            shift = bias0 + (i if start == ROW_BIAS else j if start == COLUMN_BIAS else 0)
            to, of = c0 + i * ldc + j, b0 + j * b_panel
            tile(C, to, ldc, A, a0, rows, i, a_steps, B, of, b_steps, k, height, width, start, bias, shift)


@jit
def first_row(t, tiles, m):
    """Where tile t begins, and m behind the last one.

    Where several heights make whole tiles the rows are shared out evenly: of 32 rows with at most 6, tiles of 5 and 6 and
    none of 2. Else all tiles are whole but the last.
    """
    return t * m // tiles if SEVERAL_HEIGHTS else min(t * ROWS, m)


@jit
def panel_of(n, width):
    """How many columns a panel has, if they share n out evenly: a tile of one vector is slower than one of three."""
    vectors = max(1, -(-n // width))
    panels = -(-vectors // VECTORS)
    return -(-vectors // panels) * width


@jit
def even_share(size, most):
    """``size`` in equal shares of at most ``most``; 1 if there is nothing to share."""
    shares = max(1, -(-size // most))
    return max(1, -(-size // shares))


@jit
def aligned(array):
    """The first place in an array at a multiple of the vector."""
    return (-(array.ctypes.data // array.itemsize)) % (lanes(array))


@jit
def fill_steps(entries, step):
    """0, step, 2 step, …"""
    for i in range(len(entries)):
        entries[i] = i * step


@jit
def packed_size(k, n, panel):
    """Room for panels of k rows: each has one more, because a row is written by whole vectors."""
    return -(-n // panel) * panel * (k + 1) + BYTES


@jit
def pack_tiles(packed, at, rows, A, a0, a_step, a_row, k, m):
    """``pack`` for the rows of A, a panel for each tile of ``block``; ``rows`` tells where in it they begin."""
    tiles = -(-m // ROWS)
    depth = packed_depth(k, a_row)
    for p in range(0, k, depth):
        last = 0
        for t in range(tiles):
            first, last = last, first_row(t + 1, tiles, m)
            to, of = at + t * ROWS * (k + 1) + p * ROWS, a0 + first * a_row + p * a_step
            pack_panel(packed, to, ROWS, A, of, a_step, a_row, min(depth, k - p), last - first, m - first)
    for t in range(tiles):
        for i in range(first_row(t, tiles, m), first_row(t + 1, tiles, m)):
            rows[i] = t * ROWS * (k + 1) + i - first_row(t, tiles, m)


@jit
def pack(packed, at, panel, S, s0, s_row, s_step, k, n):
    """S[s0 + p·s_row + j·s_step], p < k, j < n, in panels, row after row; that of column j begins at packed[at + j (k + 1)]."""
    depth = packed_depth(k, s_step)
    for p in range(0, k, depth):
        for j in range(0, n, panel):
            to, of = at + j * (k + 1) + p * panel, s0 + p * s_row + j * s_step
            pack_panel(packed, to, panel, S, of, s_row, s_step, min(depth, k - p), min(panel, n - j), n - j)


@jit
def packed_depth(k, s_step):
    """How many rows to pack before the next panel begins: few if it goes on in the same cache lines, else all."""
    return min(k, PACKED_ROWS) if s_step == 1 else k


@jit
def pack_panel(packed, at, panel, S, s0, s_row, s_step, k, n, there):
    """S[s0 + p·s_row + j·s_step] at packed[at + p·panel + j], p < k, j < n, where ``there`` ≥ n columns can be read.

    A row is written by whole vectors: what is too much the next row's beginning overwrites.
    """
    width = lanes(S)
    if s_step == 1:
        copy_rows(packed, at, panel, S, s0, s_row, k, min(there, -(-n // width) * width))
    else:
        for v in range((n - 1) // width * width, -1, -width):  # a row's end first, its beginning then overwrites
            for p in range(0, k, width):
                to, of = at + p * panel + v, s0 + p + v * s_step
                transpose(packed, to, panel, S, of, s_step, min(width, there - v), min(width, k - p))


@jit
def put_turned(y, y0, y_step, sums, rows, columns):
    """y[y0 + j·y_step + i] = sums[i·columns + j], square by square; the last square begins where it ends with the rows."""
    width = lanes(y)
    if rows < width:
        for j in range(columns):
            for i in range(rows):
                y[y0 + j * y_step + i] = sums[i * columns + j]
        return
    for j in range(0, columns, width):
        for i in range(0, rows, width):
            i = min(i, rows - width)
            to, of = y0 + j * y_step + i, i * columns + j
            transpose(y, to, y_step, sums, of, columns, width, min(width, columns - j))
