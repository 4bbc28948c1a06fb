"""Convolution on a GPU: three products on the tile of ``gemm.py``, whose patches are never written out.

    forward          y  = W x̃      m filters        n pixels of y     p runs over taps (c,i,j)
    input gradient   dx = W̃ δ̃      m channels       n pixels of dx    p runs over taps (o,i,j)
    weight gradient  dW = δ x̃ᵀ     m filters        n taps (c,i,j)    p runs over pixels of y

The right operand always is an image seen from two sides, pixels and taps: its number (pixel, tap) is the image's at the sum of
two places, 0 outside. One side are the tile's columns, of which a thread keeps four; the other one is p, on which it walks:

    place of a pixel (n,h,w)   n · sample + (h·sh − ph) · W + (w·sw − pw)
    place of a tap (c,i,j)     c · plane  +  i·dh · W       +  j·dw           added up, with rows and columns beside them

Forward walks on taps over columns that are pixels, the weight gradient the other way round. A walk has digits, as a clock
has hours, minutes and seconds: so a step of 8 is three additions and two carries, and there is no division in the loop.

The input's gradient is a convolution of stride 1, too. Pixel v of x is read by tap i of output h where v = h·sh + i·dh − ph:
with stride 1 there is one h for each i. With larger strides the pixels v ≡ r (mod sh) have the same taps, every
sh / gcd(sh, dh)-th one, and see neighbouring h: for each such phase there is one launch, and nothing is multiplied by 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ..conv import conv2d, conv2d_backward_weights, conv2d_input_gradient, conv2d_weight_gradient, sum_channels
from .device import THREADS, cuda, device_function, grid
from .gemm import PLAIN, ROW_BIAS, ROW_SUMS, SIZES, Operand, Product, Tile, integer
from .matmul import LIKE_A_MATRIX, M, along_p, whole_matrix
from .memory import get
from .multiply import aligned, multiply
from .reduce import block_sum

FAR = 1 << 28  # the row of a pixel or tap that is not there: outside every image
LARGEST = (1 << 31) - 1  # elements of an array whose places are integers of 32 bits

# Where ``sizes`` holds what, two numbers in one: rows and columns, or what the names say.
IMAGE, WALK, WALK_STEP, DIGITS, LINES, LINE_STEP, LINE_ORIGIN, PLANES, DIGIT_PART = range(SIZES, SIZES + 9)
LEFT_STEP, LEFT_PLANE_PART, LEFT_PITCH_ORIGIN, OUT_STEP, OUT_PITCH_ORIGIN, OUT_SAMPLE = range(SIZES + 9, SIZES + 15)


@device_function
def first(pair):
    return integer(pair >> 32)


@device_function
def second(pair):
    return integer(((pair & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000)


@device_function
def inside(v, size):
    """Whether 0 ≤ v < size, in one comparison."""
    return np.uint32(v) < np.uint32(size)


# ---------------------------------------------------------------------- the walk along p


@device_function
def walk_begin(sizes, p):
    """(carries, row digit, column digit) of number p of the walk."""
    rows, columns = first(sizes[WALK]), second(sizes[WALK])
    return integer(p // (rows * columns)), integer(p // columns % rows), integer(p % columns)


@device_function
def walk_step(sizes, walk):
    """The same, one step of the tile further."""
    c, i, j = walk
    rows, columns = first(sizes[WALK]), second(sizes[WALK])
    j = integer(j + second(sizes[DIGITS]))
    i = integer(i + first(sizes[DIGITS]))
    c = integer(c + first(sizes[DIGIT_PART]))
    if j >= columns:
        j = integer(j - columns)
        i = integer(i + 1)
    if i >= rows:
        i = integer(i - rows)
        c = integer(c + 1)
    return c, i, j


# ---------------------------------------------------------------------- operands


def walked(tile: Tile, number: Any, vectors: bool) -> Operand:
    """Filters or δ: number (line, p) lies at line · pitch + what the digits of the image's walk say. A thread has four lines.

    The walk is the right operand's, which shares p out among the threads in the same way.
    """

    @device_function
    def line_place(sizes, part, line):
        """A line that is not there is the last one, whose sums nobody writes."""
        begin = part * second(sizes[LEFT_PLANE_PART]) + second(sizes[LEFT_PITCH_ORIGIN])
        return integer(begin + min(line, integer(sizes[0] - 1)) * first(sizes[LEFT_PITCH_ORIGIN]))

    @device_function
    def begin(sizes, part, line, p, end):
        return (
            line_place(sizes, part, line),
            line_place(sizes, part, integer(line + 1)),
            line_place(sizes, part, integer(line + 2)),
            line_place(sizes, part, integer(line + 3)),
        )

    @device_function
    def read(M, state, sizes, other):
        (c, i, j), left = other[0], other[1]
        if left > 0:
            at = integer(c * first(sizes[LEFT_PLANE_PART]) + i * first(sizes[LEFT_STEP]) + j * second(sizes[LEFT_STEP]))
            l0, l1, l2, l3 = state
            return get(M, integer(at + l0)), get(M, integer(at + l1)), get(M, integer(at + l2)), get(M, integer(at + l3))
        return number(0), number(0), number(0), number(0)

    @device_function
    def step(state, sizes):
        return state

    return Operand(False, True, begin, read, step)


def seen(p_first: bool) -> Any:
    """The operand of an image seen through windows. A thread has four pixels and walks on taps, or the other way round."""

    def operand(tile: Tile, number: Any, vectors: bool) -> Operand:
        depth = tile.depth

        @device_function
        def line_place(sizes, part, line):
            """(row, column, place in the array) of a pixel or tap."""
            rows, columns = first(sizes[LINES]), second(sizes[LINES])
            c, a, b = line // (rows * columns), line // columns % rows, line % columns
            v = integer(first(sizes[LINE_ORIGIN]) + a * first(sizes[LINE_STEP]))
            u = integer(second(sizes[LINE_ORIGIN]) + b * second(sizes[LINE_STEP]))
            at = integer(part * second(sizes[DIGIT_PART]) + c * second(sizes[PLANES]) + v * second(sizes[IMAGE]) + u)
            return v if line < sizes[1] else integer(FAR), u, at

        @device_function
        def begin(sizes, part, line, p, end):
            return (
                walk_begin(sizes, p),
                integer(end - p),
                line_place(sizes, part, line),
                line_place(sizes, part, integer(line + 1)),
                line_place(sizes, part, integer(line + 2)),
                line_place(sizes, part, integer(line + 3)),
            )

        @device_function
        def pixel(image, place, v, u, at, sizes):
            row, column, of = place
            there = inside(integer(row + v), first(sizes[IMAGE])) and inside(integer(column + u), second(sizes[IMAGE]))
            return get(image, integer(of + at)) if there else number(0)

        @device_function
        def read(image, state, sizes, other):
            (c, i, j), left, l0, l1, l2, l3 = state
            v, u = integer(i * first(sizes[WALK_STEP])), integer(j * second(sizes[WALK_STEP]))
            at = integer(c * first(sizes[PLANES]) + v * second(sizes[IMAGE]) + u)
            v = v if left > 0 else integer(FAR)
            return (
                pixel(image, l0, v, u, at, sizes),
                pixel(image, l1, v, u, at, sizes),
                pixel(image, l2, v, u, at, sizes),
                pixel(image, l3, v, u, at, sizes),
            )

        @device_function
        def step(state, sizes):
            return walk_step(sizes, state[0]), integer(state[1] - depth), state[2], state[3], state[4], state[5]

        return Operand(False, p_first, begin, read, step)

    return operand


@device_function
def pixel_place(sizes, part, j):
    """Where in the output pixel j lies, in the first row of the part."""
    rows, columns = first(sizes[LINES]), second(sizes[LINES])
    n, a, b = j // (rows * columns), j // columns % rows, j % columns
    pitch, origin = first(sizes[OUT_PITCH_ORIGIN]), second(sizes[OUT_PITCH_ORIGIN])
    at = origin + a * first(sizes[OUT_STEP]) + b * second(sizes[OUT_STEP])
    return n * sizes[OUT_SAMPLE] + part * sizes[0] * pitch + at


@device_function
def plane(sizes):
    return first(sizes[OUT_PITCH_ORIGIN])


FORWARD = Product("conv forward", along_p(M), seen(False), whole_matrix, pixel_place, plane)
INPUT_GRADIENT = Product("conv input gradient", walked, seen(True), whole_matrix, pixel_place, plane)
WEIGHT_GRADIENT = Product("conv weight gradient", walked, seen(True), *LIKE_A_MATRIX)


# ---------------------------------------------------------------------- geometry, on the host


class Side(NamedTuple):
    """Pixels or taps: so many rows and columns, how far apart these lie in the image, and how far apart planes or samples."""

    size: tuple[int, int]
    steps: tuple[int, int]
    plane: int


class Geometry(NamedTuple):
    """What ``sizes`` says of a convolution.

    Attributes:
        image: rows and columns. walk: the side that p walks on. lines: the other one.
        origin: the row and the column that the first pixel sees through the first tap.
        part: from a group's first number in the image to the next group's.
        left: of the left operand, if walked on: row step, column step, plane, part, pitch, origin.
        out: of the output, if an image: row step, column step, pitch, origin, sample.
    """

    image: tuple[int, int]
    walk: Side
    lines: Side
    origin: tuple[int, int]
    part: int
    left: tuple[int, ...] = (0,) * 6
    out: tuple[int, ...] = (0,) * 5

    def sizes(self, depth: int) -> tuple[int, ...]:
        """For a tile of this depth."""
        rest, column_digit = divmod(depth, max(1, self.walk.size[1]))
        carries, row_digit = divmod(rest, max(1, self.walk.size[0]))
        pairs = (
            self.image, self.walk.size, self.walk.steps, (row_digit, column_digit), self.lines.size, self.lines.steps,
            self.origin, (self.walk.plane, self.lines.plane), (carries, self.part), self.left[:2], self.left[2:4],
            self.left[4:], self.out[:2], self.out[2:4],
        )  # fmt: skip
        return *((a << 32) + (b & 0xFFFFFFFF) for a, b in pairs), self.out[4]


@lru_cache(maxsize=1 << 10)
def forward_geometry(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    (_, C, H, width), (_, O, Ho, Wo) = x, y
    taps = Side(window.kernel, window.dilation, H * width)
    pixels = Side((Ho, Wo), window.stride, C * H * width)
    origin = -window.padding[0], -window.padding[1]
    out = Wo, 1, Ho * Wo, 0, O * Ho * Wo
    return Geometry((H, width), taps, pixels, origin, W[1] * H * width, out=out)


@lru_cache(maxsize=1 << 10)
def weight_gradient_geometry(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    forward = forward_geometry(window, x, W, y)
    filters, P = W[0] * W[1] // x[1], y[2] * y[3]
    left = y[3], 1, y[1] * P, filters * P, P, 0
    return forward._replace(walk=forward.lines, lines=forward.walk, left=left)


@lru_cache(maxsize=1 << 10)
def input_gradient_phases(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> list[Geometry]:
    """One for each remainder of a pixel's row and column by the strides."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    (_, C, H, width), (_, O, Ho, Wo) = x, y
    filters, taps = W[0] * W[1] // C, kh * kw
    phases = []
    for row in _phases(H, kh, sh, ph, dh):
        for column in _phases(width, kw, sw, pw, dw):
            walk = Side((row.taps, column.taps), (row.tap_step, column.tap_step), Ho * Wo)
            lines = Side((row.pixels, column.pixels), (1, 1), O * Ho * Wo)
            left = row.every * kw, column.every, W[1] * taps, filters * W[1] * taps, taps, row.tap * kw + column.tap
            out = sh * width, sw, H * width, row.pixel * width + column.pixel, C * H * width
            part = filters * Ho * Wo
            phases.append(Geometry((Ho, Wo), walk, lines, (row.sees, column.sees), part, left, out))
    return phases


class Phase(NamedTuple):
    """Along one axis: the pixels pixel, pixel + stride, …, read by the taps tap, tap + every, …

    The first pixel is read through the first of these taps by output ``sees``, through the next one by ``sees + tap_step``.
    """

    pixel: int
    pixels: int
    tap: int
    every: int
    taps: int
    sees: int
    tap_step: int


def _phases(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Iterator[Phase]:
    common = gcd(stride, dilation)
    every = stride // common
    for pixel in range(min(stride, size)):
        pixels = -(-(size - pixel) // stride)
        tap = next((i for i in range(min(every, kernel)) if (pixel + padding - i * dilation) % stride == 0), None)
        if tap is None:
            yield Phase(pixel, pixels, 0, 1, 0, 0, 0)
        else:
            sees = (pixel + padding - tap * dilation) // stride
            yield Phase(pixel, pixels, tap, every, -(-(kernel - tap) // every), sees, -dilation // common)


# ---------------------------------------------------------------------- launches


def _check(*arrays: Any) -> None:
    for array in arrays:
        if array.size > LARGEST:
            raise ValueError(
                f"convolutions on a GPU take arrays of up to {LARGEST} numbers, got shape {array.shape}: use smaller batches"
            )


@conv2d.cuda
def conv2d_cuda(y, x, W, b, window):
    _check(y, x, W)
    N, O, Ho, Wo = y.shape
    k, parts, pixels = W.size // O, x.shape[1] // W.shape[1], Ho * Wo
    here = forward_geometry(window, x.shape, W.shape, y.shape)
    multiply(
        FORWARD, y, W, x, 0.0, O // parts, N * pixels, k, vectors=k % 4 == 0 and aligned(W),
        whole=pixels % 4 == 0 and aligned(y), extra=PLAIN if b is None else ROW_BIAS, array=b, activated=True,
        parts=parts, geometry=here.sizes,
    )  # fmt: skip


@conv2d_input_gradient.cuda
def conv2d_input_gradient_cuda(dx, dy, W, window):
    _check(dx, dy, W)
    N, channels, filters = dx.shape[0], W.shape[1], W.shape[0] * W.shape[1] // dx.shape[1]
    for phase in input_gradient_phases(window, dx.shape, W.shape, dy.shape):
        (taps_down, taps_across), (rows, columns) = phase.walk.size, phase.lines.size
        multiply(
            INPUT_GRADIENT, dx, W, dy, 0.0, channels, N * rows * columns, filters * taps_down * taps_across,
            whole=window.stride == (1, 1) and rows * columns % 4 == 0 and aligned(dx), parts=dx.shape[1] // channels,
            chunked=window.stride == (1, 1), geometry=phase.sizes,
        )  # fmt: skip


@conv2d_weight_gradient.cuda
def conv2d_weight_gradient_cuda(dW, x, dy, window, beta):
    _weight_gradient(dW, x, dy, window, beta)


@conv2d_backward_weights.cuda
def conv2d_backward_weights_cuda(dW, db, x, dy, window):
    if db is None:
        _weight_gradient(dW, x, dy, window, 1.0)
    else:
        _weight_gradient(dW, x, dy, window, 1.0, extra=ROW_SUMS, array=db)


def _weight_gradient(dW: Any, x: Any, dy: Any, window: Any, beta: float, **more: Any) -> None:
    _check(dW, x, dy)
    O, taps = dW.shape[0], dW.size // dW.shape[0]
    parts = x.shape[1] // dW.shape[1]
    here = weight_gradient_geometry(window, x.shape, dW.shape, dy.shape)
    multiply(
        WEIGHT_GRADIENT, dW, dy, x, beta, O // parts, taps, dy.size // O, whole=taps % 4 == 0 and aligned(dW),
        parts=parts, geometry=here.sizes, **more,
    )  # fmt: skip


@grid
def sum_channels_grid(s, x, beta):
    """A block for each channel."""
    C, pixels = x.shape[1], x.shape[2] * x.shape[3]
    c, thread = cuda.blockIdx.x, cuda.threadIdx.x
    total = 0.0
    for e in range(thread, x.shape[0] * pixels, THREADS):
        total += get(x, (e // pixels * C + c) * pixels + e % pixels)
    total = block_sum(total)
    if thread == 0:
        if beta != 0:
            total += beta * s[c]
        s[c] = total


@sum_channels.cuda
def sum_channels_cuda(s, x, beta):
    sum_channels_grid[s.size, THREADS](s, x, beta)
