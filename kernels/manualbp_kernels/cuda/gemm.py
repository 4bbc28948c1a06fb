"""The matrix product on a GPU, told as tiles within tiles. C (m × n) is a grid of block tiles, each one of thread tiles:

            128 columns of B                 Block: computes 128 × 128 numbers of C, walking along p in steps of 8.
              ┌──────┐                         Its two strips, 128 × 8 of A and 8 × 128 of B, lie in shared memory,
            8 │▒▒▒▒▒▒│ B                       p outside, rows or columns inside: strip[p, i]. There are two of each:
              └──────┘                         while one pair is multiplied the next one is on its way.
        ┌─┐   ┌──────┐
    128 │▒│ A │▒▒▒▒▒▒│ C                     Thread: 8 × 16 of them, each holds 16 × 8 sums in registers, as 4 × 2 squares
        │▒│   │▒▒▒▒▒▒│                         4 × 4 that lie a quarter and half a tile apart (■): then neighbours read
        └─┘   └──────┘                         neighbouring fours of a strip, and no two of them the same memory bank.
         8
                                 ■ · · · ■ · · ·
    one step of p:               ■ · · · ■ · · ·       128 multiply-adds for 6 reads of four numbers each
      sums[i,j] += a[i] b[j]     ■ · · · ■ · · ·
                                 ■ · · · ■ · · ·

    1  each thread reads its numbers of A and of B of the first step, 4, 8 or 16 of them, into registers
    2  … writes them into the strips; all wait for each other
    3  … asks for those of the next step, which arrive while
    4  … it adds 8 outer products, reading the strips; go on with 2, in the other pair of strips
    5  sums + bias + β C are written; beyond the edges of C nothing is

One barrier a step is enough: who writes into a pair at step s + 2 has passed the barrier of s + 1, which all reach after
they have read that pair at s.

Where numbers of A and B lie an ``Operand`` says, so that the same tile multiplies matrices of all three forms (``matmul.py``)
and images seen through windows (``conv.py``). Numbers come by fours that lie side by side along p (written into the strip one
by one) or along the rows or columns (written as one). All of a thread's are of the same p: one walk along p and a place for
each. What is not a multiply-add in the loop is mostly their addresses, so the more sums a thread has for each number that it
carries, the closer the tile comes to a GPU's peak.

Where C has few tiles and p is long, blocks share p out in chunks, and the last one of a tile to finish adds up what the
others have left, in their order. Every number of C is one chain of multiply-adds, or a fixed sum of such chains, and how
many depends on the sizes alone: the same bits on every run and every card.

Sources: V. Volkov, J. Demmel, "Benchmarking GPUs to tune dense linear algebra" (2008); NVIDIA, "CUTLASS: Fast linear algebra
in CUDA C++" (2017), for tiles within tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .ahead import relu_of
from .device import cuda, device_function, grid
from .memory import align_shared, get, get_four, put, put_four
from .reduce import last_block

integer = np.int32  # what threads count in; Numba's own would be of 64 bits, of which a GPU makes two instructions


class Tile(NamedTuple):
    """A block's part of C, the step along p, and how many squares 4 × 4 of it a thread has, down and across."""

    rows: int
    columns: int
    depth: int
    down: int
    across: int

    @property
    def threads(self) -> int:
        return self.rows * self.columns // (16 * self.down * self.across)

    def fours(self, lines: int) -> int:
        """So many times four numbers a thread carries in each step, where a strip has so many lines."""
        return -(-lines * self.depth // (4 * self.threads))


class Operand(NamedTuple):
    """Where a thread finds its numbers of A or B, four by four: on a walk along p, at places that do not change.

    Attributes:
        along_p: whether four lie along p; else along the rows of A or the columns of B, its *lines*.
        p_first: whether neighbouring threads are neighbours along p; else along the lines.
        begin: (sizes, p) → the walk's state.
        step: (sizes, walk) → the state ``Tile.depth`` further along p.
        place: (array, sizes, part, line) → the place of the four numbers from this line on.
        read: (array, place, walk, the other operand's walk, sizes, p, left) → these; zeros where p ≥ left. Both count from
            where the step begins.
        beside: (array, sizes, place, lines) → the place of the four so many lines further, for operands whose threads have
            their fours side by side. Without it each lies in a part of the strip of its own.
    """

    along_p: bool
    p_first: bool
    begin: Any
    step: Any
    place: Any
    read: Any
    beside: Any = None


class Product(NamedTuple):
    """What is multiplied. Each part (a group of a convolution) is a product of its own.

    Attributes:
        left, right: makes the Operand for (tile, dtype, vectors).
        extent: (sizes, part) → m, n, k.
        places: for (tile, vectors): (sizes, part, j) → where in C the columns j, j + 1, j + 2, j + 3 begin.
        pitch: (sizes) → from one row of C to the next.
    """

    name: str
    left: Callable[..., Operand]
    right: Callable[..., Operand]
    extent: Any
    places: Callable[[Tile, bool], Any]
    pitch: Any


PLAIN, ROW_BIAS, COLUMN_BIAS, ROW_SUMS = "plain", "row bias", "column bias", "row sums"  # what comes with C

WARP, LANES_ACROSS = 32, 8  # a warp's threads lie 4 × 8, two by two: so they read the fewest different fours at a time
PAD = 4  # numbers after each row of a strip: then four along p go to different memory banks, too
SIZES = 6  # m, n, k, the chunk of p, chunks, whether four columns of C are one access; then geometry


# ---------------------------------------------------------------------- the grid


@cache
def product_grid(product: Product, tile: Tile, dtype: Any, vectors: bool, extra: str, chunked: bool, activated: bool) -> Any:
    """The grid that computes ``product`` by such tiles.

    With ``vectors`` four numbers of a matrix are read as one, which takes whole fours and aligned arrays. ``extra`` says
    what lies in the array after C.
    """
    rows, columns, depth, down, across = tile
    threads = tile.threads
    number = dtype.type
    of_left, of_right = product.left(tile, number, vectors), product.right(tile, number, vectors)
    begin_a, step_a, begin_b, step_b = of_left.begin, of_left.step, of_right.begin, of_right.step
    extent, four_places, pitch = product.extent, product.places(tile, vectors), product.pitch
    a_pitch, b_pitch = rows + PAD, columns + PAD
    b_strip, pair = depth * a_pitch, depth * (a_pitch + b_pitch)
    pairs = 2 * pair  # of strips: A's, then B's
    high, wide = 4 * down, 4 * across  # a thread's sums
    threads_across, row_gap, column_gap = columns // wide, rows // down, columns // across
    lanes, lanes_across = min(WARP, threads), min(LANES_ACROSS, threads_across)
    lanes_down, warps_across = lanes // lanes_across, threads_across // lanes_across
    spread_a, find_a, read_a, write_a, fours = _carrier(of_left, rows, tile, a_pitch)
    spread_b, find_b, read_b, write_b, _ = _carrier(of_right, columns, tile, b_pitch)
    zeros_a, add_a = _several(zero_four, fours), _several(add_four, fours)
    row_bias, column_bias, row_sums = extra == ROW_BIAS, extra == COLUMN_BIAS, extra == ROW_SUMS
    kept = rows * columns + rows  # numbers that a chunk leaves of a tile: its sums, and those of A's rows

    @device_function
    def outer_product(p, state):
        """sums[i,j] += a[i] b[j] for one p."""
        sums, a, b, strips, of_a, of_b = state
        for i in range(down):
            at = of_a + (p * a_pitch + i * row_gap)
            a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3] = get_four(strips, at)
        for j in range(across):
            at = of_b + (p * b_pitch + j * column_gap)
            b[4 * j], b[4 * j + 1], b[4 * j + 2], b[4 * j + 3] = get_four(strips, at)
        for i in range(high):
            for j in range(wide):
                sums[i, j] += a[i] * b[j]

    @device_function
    def find_places(j, state):
        """Where in C four columns of the thread's sums begin."""
        places, sizes, part, first_column = state
        found = four_places(sizes, part, integer(first_column + j * column_gap))
        places[4 * j], places[4 * j + 1], places[4 * j + 2], places[4 * j + 3] = found

    @device_function
    def write_four(index, state):
        """Four sums side by side, as one access."""
        C, sums, places, bias, R, sizes, part, m, n, first_row, first_column, factor = state
        i, j = integer(index % high), integer(index // high * 4)
        row, column = integer(first_row + i // 4 * row_gap + i % 4), integer(first_column + j // 4 * column_gap)
        if row < m and column < n:
            r0, r1, r2, r3 = sums[i, j], sums[i, j + 1], sums[i, j + 2], sums[i, j + 3]
            if row_bias:
                b = get(bias, part * m + row)
                r0, r1, r2, r3 = r0 + b, r1 + b, r2 + b, r3 + b
            if column_bias:
                r0, r1 = r0 + get(bias, column), r1 + get(bias, column + 1)
                r2, r3 = r2 + get(bias, column + 2), r3 + get(bias, column + 3)
            at = row * pitch(sizes) + places[j]
            if factor != 0:
                c0, c1, c2, c3 = get_four(C, at)
                r0, r1, r2, r3 = r0 + factor * c0, r1 + factor * c1, r2 + factor * c2, r3 + factor * c3
            put_four(C, at, r0, r1, r2, r3)
            if activated:
                put_four(R, at, relu_of(r0), relu_of(r1), relu_of(r2), relu_of(r3))

    @device_function
    def write_one(index, state):
        """One sum."""
        C, sums, places, bias, R, sizes, part, m, n, first_row, first_column, factor = state
        i, j = integer(index % high), integer(index // high)
        row, column = integer(first_row + i // 4 * row_gap + i % 4), integer(first_column + j // 4 * column_gap + j % 4)
        if row < m and column < n:
            r = sums[i, j]
            if row_bias:
                r += get(bias, part * m + row)
            if column_bias:
                r += get(bias, column)
            at = row * pitch(sizes) + places[j]
            if factor != 0:
                r += factor * get(C, at)
            put(C, at, r)
            if activated:
                put(R, at, relu_of(r))

    @device_function
    def leave(index, state):
        """One sum of this chunk, where its thread finds it again."""
        partial, sums, at = state
        put(partial, at + index * threads, sums[integer(index % high), integer(index // high)])

    @device_function
    def collect(index, state):
        """The same sum of another chunk."""
        partial, sums, at = state
        sums[integer(index % high), integer(index // high)] += get(partial, at + index * threads)

    @device_function
    def add_chunks(partial, tickets, sums, row_sum, chunk, chunks, tile_number):
        """Leave the sums of this chunk. The last block to do so collects them all: (whether it is that one, the row's sum)."""
        thread = integer(cuda.threadIdx.x)
        at = (tile_number * chunks + chunk) * kept + thread
        leaves(integer(0), (partial, sums, at))
        if row_sums:
            if thread < rows:
                put(partial, at + rows * columns, row_sum)
        if not last_block(tickets, tile_number, chunks):
            return False, row_sum
        for i in range(high):
            for j in range(wide):
                sums[i, j] = number(0)
        row_sum, at = number(0), tile_number * chunks * kept + thread
        for _ in range(chunks):
            collects(integer(0), (partial, sums, at))
            if row_sums:
                if thread < rows:
                    row_sum += get(partial, at + rows * columns)
            at += kept
        return True, row_sum

    outer_products, find_all_places = _unrolled(outer_product, depth), _unrolled(find_places, across)
    leaves, collects = _unrolled(leave, high * wide), _unrolled(collect, high * wide)
    write_fours, write_ones = _unrolled(write_four, high * across), _unrolled(write_one, high * wide)

    @device_function
    def multiply(C, extra, R, partial, tickets, A, B, sizes, beta):
        strips = cuda.shared.array(pairs, number)
        align_shared(strips, 0)
        sums = cuda.local.array((high, wide), number)
        a = cuda.local.array(high, number)
        b = cuda.local.array(wide, number)
        places = cuda.local.array(wide, np.int64)
        for i in range(high):
            for j in range(wide):
                sums[i, j] = number(0)
        row_sum = number(0)

        thread = integer(cuda.threadIdx.x)
        chunks = integer(sizes[4])
        part, chunk = integer(cuda.blockIdx.z // chunks), integer(cuda.blockIdx.z % chunks)
        m, n, k = extent(sizes, part)
        m, n, k = integer(m), integer(n), integer(k)
        first_row, first_column = integer(cuda.blockIdx.y * rows), integer(cuda.blockIdx.x * columns)
        first = integer(chunk * sizes[3])
        left = integer(min(k, first + sizes[3]) - first)  # along p

        line_a, p_a, to_a = spread_a(thread)
        line_b, p_b, to_b = spread_b(thread)
        to_a, to_b = np.int64(to_a), np.int64(to_b + b_strip)
        places_a = find_a(integer(0), (A, sizes, part, integer(first_row + line_a)))
        places_b = find_b(integer(0), (B, sizes, part, integer(first_column + line_b)))
        walk_a, walk_b = begin_a(sizes, integer(first + p_a)), begin_b(sizes, integer(first + p_b))
        warp, lane = integer(thread // lanes), integer(thread % lanes)
        across_tile = integer((warp % warps_across * lanes_across + lane // 2 % lanes_across) * 4)
        down_tile = integer((warp // warps_across * lanes_down + lane // (2 * lanes_across) * 2 + lane % 2) * 4)

        next_a = read_a(integer(0), (A, places_a, walk_a, walk_b, sizes, p_a, left))  # 1
        next_b = read_b(integer(0), (B, places_b, walk_b, walk_a, sizes, p_b, left))
        for_rows = zeros_a(integer(0), number(0))
        at_a, at_b = np.int64(down_tile), np.int64(b_strip + across_tile)
        turn = np.int64(0)  # of the pairs of strips: where the one begins that is written next
        while left > 0:
            if row_sums:
                for_rows = add_a(integer(0), (for_rows, next_a))
            write_a(integer(0), (strips, to_a + turn, next_a))  # 2
            write_b(integer(0), (strips, to_b + turn, next_b))
            cuda.syncthreads()
            walk_a, walk_b, left = step_a(sizes, walk_a), step_b(sizes, walk_b), integer(left - depth)
            next_a = read_a(integer(0), (A, places_a, walk_a, walk_b, sizes, p_a, left))  # 3
            next_b = read_b(integer(0), (B, places_b, walk_b, walk_a, sizes, p_b, left))
            outer_products(integer(0), (sums, a, b, strips, at_a + turn, at_b + turn))  # 4
            turn = pair - turn

        if row_sums:  # each thread has added up its numbers of four rows: the sums of a row meet in its column of a strip
            write_a(integer(0), (strips, to_a + turn, for_rows))
            cuda.syncthreads()
            if thread < rows:
                for q in range(depth):
                    row_sum += get(strips, turn + q * a_pitch + thread)
        if chunked:
            tile_number = (part * cuda.gridDim.y + cuda.blockIdx.y) * cuda.gridDim.x + cuda.blockIdx.x
            last, row_sum = add_chunks(partial, tickets, sums, row_sum, chunk, chunks, tile_number)
            if not last:
                return
        row, column = integer(first_row + down_tile), integer(first_column + across_tile)
        find_all_places(integer(0), (places, sizes, part, column))
        state = C, sums, places, extra, R, sizes, part, m, n, row, column, number(beta)
        if sizes[5] != 0:  # 5
            write_fours(integer(0), state)
        else:
            write_ones(integer(0), state)
        if row_sums:
            if cuda.blockIdx.x == 0 and thread < rows and first_row + thread < m:
                at = part * m + first_row + thread
                if beta != 0:
                    row_sum += number(beta) * get(extra, at)
                put(extra, at, row_sum)

    activation = " relu" if activated else ""
    of_tile = f"{rows}x{columns}x{depth} {high}x{wide}"
    name = f"{product.name} {extra}{activation} {of_tile} {dtype} {'four' if vectors else 'one'}".replace(" ", "_")
    if chunked:

        @grid(name=f"{name}_chunks")
        def in_chunks(C, extra, R, partial, tickets, A, B, sizes, beta):
            multiply(C, extra, R, partial, tickets, A, B, sizes, beta)

        return in_chunks

    if activated:

        @grid(name=name)
        def with_activation(C, extra, R, A, B, sizes, beta):
            multiply(C, extra, R, C, C, A, B, sizes, beta)

        return with_activation

    if extra == PLAIN:

        @grid(name=name)
        def plain(C, A, B, sizes, beta):
            multiply(C, C, C, C, C, A, B, sizes, beta)

        return plain

    @grid(name=name)
    def with_extra(C, extra, A, B, sizes, beta):
        multiply(C, extra, C, C, C, A, B, sizes, beta)

    return with_extra


@device_function
def zero_four(index, zero):
    return zero, zero, zero, zero


@device_function
def add_four(index, state):
    x, y = state[0][index], state[1][index]
    return x[0] + y[0], x[1] + y[1], x[2] + y[2], x[3] + y[3]


class Carrier(NamedTuple):
    """How a tile's threads carry a strip.

    Attributes:
        spread: thread → (line, p, place in the strip) of its first four numbers.
        find, read, write: find the places of all its fours, read them, write them into the strip: functions of (0, state).
        fours: so many has each thread.
    """

    spread: Any
    find: Any
    read: Any
    write: Any
    fours: int


def _carrier(operand: Operand, lines: int, tile: Tile, pitch: int) -> Carrier:
    """Share a strip of so many lines out. A thread's fours lie at the same p, ``gap`` lines from one to the next."""
    fours = tile.fours(lines)
    p_four, line_four = (4, 1) if operand.along_p else (1, 4)
    gap, line_unit = (4, 4 * fours) if operand.beside else (lines // fours, line_four)
    if lines % (4 * fours) or tile.depth % 4:
        raise ValueError(f"{tile}: {tile.threads} threads cannot share {lines} × {tile.depth} numbers out by fours")
    units = lines * tile.depth // (4 * fours)  # threads that carry
    p_turn, line_turn = (tile.depth // p_four, units) if operand.p_first else (units, lines // fours // line_four)
    p_each, line_each = (1, p_turn) if operand.p_first else (line_turn, 1)
    place, read, beside = operand.place, operand.read, operand.beside

    @device_function
    def spread(thread):
        p = integer(thread // p_each % p_turn * p_four)
        line = integer(thread // line_each % line_turn * line_unit)
        return line, p, integer(p * pitch + line)

    @device_function
    def find_apart(index, state):
        array, sizes, part, line = state
        return place(array, sizes, part, integer(line + index * gap))

    @device_function
    def find_beside(index, state):
        array, sizes, begin = state
        return beside(array, sizes, begin, integer(index * gap))

    found_apart, found_beside = _several(find_apart, fours), _several(find_beside, fours)

    @device_function
    def find_from_first(index, state):
        array, sizes, part, line = state
        return found_beside(index, (array, sizes, place(array, sizes, part, line)))

    @device_function
    def read_four(index, state):
        array, places, walk, other, sizes, p, left = state
        return read(array, places[index], walk, other, sizes, p, left)

    @device_function
    def write_apart(index, state):
        strip, at, numbers = state
        for e in range(4):
            put(strip, at + (index * gap + e * pitch), numbers[index][e])

    @device_function
    def write_four(index, state):
        strip, at, numbers = state
        four = numbers[index]
        put_four(strip, at + index * gap, four[0], four[1], four[2], four[3])

    writes = _unrolled(write_apart if operand.along_p else write_four, fours)

    @device_function
    def write_if_there(index, state):
        if cuda.threadIdx.x < units:
            writes(index, state)

    write = writes if units == tile.threads else write_if_there
    find = find_from_first if operand.beside else found_apart
    return Carrier(spread, find, _several(read_four, fours), write, fours)


def _unrolled(f: Any, times: int) -> Any:
    """``f(index, state)`` for so many indices one after the other, without a loop, which keep ``sums`` out of registers:
    each index is part of the code."""
    if times == 1:
        return f
    half, rest, middle = _unrolled(f, times // 2), _unrolled(f, times - times // 2), times // 2

    @device_function
    def both(index, state):
        half(index, state)
        rest(integer(index + middle), state)

    return both


def _several(f: Any, times: int) -> Any:
    """The tuple of ``f(index, state)`` for so many indices."""
    if times == 1:

        @device_function
        def one(index, state):
            return (f(index, state),)

        return one
    half, rest, middle = _several(f, times // 2), _several(f, times - times // 2), times // 2

    @device_function
    def both(index, state):
        return half(index, state) + rest(integer(index + middle), state)

    return both
