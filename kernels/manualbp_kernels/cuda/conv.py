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
from functools import cache, lru_cache
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ..conv import conv2d, conv2d_backward_weights, conv2d_input_gradient, conv2d_weight_gradient, sum_channels
from .device import THREADS, cuda, device_function, grid
from .gemm import PLAIN, ROW_BIAS, ROW_SUMS, SIZES, Operand, Product, Tile, integer
from .matmul import whole_matrix
from .memory import address, get, get_from
from .multiply import aligned, multiply
from .reduce import block_sum

FAR = 1 << 28  # the row of a pixel or tap that is not there: outside every image
LARGEST = (1 << 31) - 1  # elements of an array whose places are integers of 32 bits

# Where ``sizes`` holds what, two numbers in one: rows and columns, or what ``Geometry.sizes`` says.
IMAGE, WALK, WALK_STEP, WALK_END, STEP, STEP_PLACES, CARRY_PLACES, CARRY_ROW_PLACES, PLANES = range(SIZES, SIZES + 9)
LEFT_STEP, LEFT_PITCH_PART, LINES, LINES_STEP, ORIGIN, LINES_PLANES, BEGIN = range(SIZES + 9, SIZES + 16)
OUT_STEP, OUT_PLANES, OUT_PITCH_ORIGIN = range(SIZES + 16, SIZES + 19)


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


@device_function
def split(a, b):
    """a // b and a % b."""
    quotient = integer(np.uint32(a) // np.uint32(b))
    return quotient, integer(a - quotient * b)


# ---------------------------------------------------------------------- the walk along p


@device_function
def walk_begin(sizes, p):
    """(row, column, place in the image, place in the left operand) of number p of the walk."""
    rows, columns = first(sizes[WALK]), second(sizes[WALK])
    rest, j = split(p, columns)
    c, i = split(rest, rows)
    v, u = integer(i * first(sizes[WALK_STEP])), integer(j * second(sizes[WALK_STEP]))
    at = integer(c * first(sizes[PLANES]) + v * second(sizes[IMAGE]) + u)
    return v, u, at, integer(c * second(sizes[PLANES]) + i * first(sizes[LEFT_STEP]) + j * second(sizes[LEFT_STEP]))


@device_function
def walk_step(sizes, walk):
    """The same, one step of the tile further."""
    v, u, at, left = walk
    v, u = integer(v + first(sizes[STEP])), integer(u + second(sizes[STEP]))
    at, left = integer(at + first(sizes[STEP_PLACES])), integer(left + second(sizes[STEP_PLACES]))
    if u >= second(sizes[WALK_END]):
        v, u = integer(v + first(sizes[WALK_STEP])), integer(u - second(sizes[WALK_END]))
        at, left = integer(at + first(sizes[CARRY_PLACES])), integer(left + second(sizes[CARRY_PLACES]))
    if v >= first(sizes[WALK_END]):
        v = integer(v - first(sizes[WALK_END]))
        at, left = integer(at + first(sizes[CARRY_ROW_PLACES])), integer(left + second(sizes[CARRY_ROW_PLACES]))
    return v, u, at, left


# ---------------------------------------------------------------------- operands


def walked(tile: Tile, number: Any, vectors: bool) -> Operand:
    """Filters or δ: number (line, p) lies at line · pitch + what the walk says, the image's: both operands share p out alike."""

    @device_function
    def begin(sizes, p):
        return p

    @device_function
    def step(sizes, walk):
        return walk

    @device_function
    def line_begin(array, sizes, part, line):
        """A line that is not there is the last one, whose sums nobody writes."""
        origin = np.int64(part) * second(sizes[LEFT_PITCH_PART]) + first(sizes[BEGIN])
        return address(array, origin + min(line, integer(sizes[0] - 1)) * np.int64(first(sizes[LEFT_PITCH_PART])))

    @device_function
    def place(array, sizes, part, line):
        return (
            line_begin(array, sizes, part, line),
            line_begin(array, sizes, part, integer(line + 1)),
            line_begin(array, sizes, part, integer(line + 2)),
            line_begin(array, sizes, part, integer(line + 3)),
        )

    @device_function
    def read(M, lines, walk, other, sizes, p, left):
        if left > p:
            a, b, c, d = lines
            at = other[3]
            return get_from(M, a, at), get_from(M, b, at), get_from(M, c, at), get_from(M, d, at)
        return number(0), number(0), number(0), number(0)

    return Operand(False, True, begin, step, place, read)


def seen(tile: Tile, number: Any, vectors: bool) -> Operand:
    ITEM = np.dtype(number).itemsize
    """An image seen through windows. A thread has four pixels and walks on taps, or the other way round."""

    @device_function
    def locate(array, sizes, part, line):
        """(row, column, where the image begins for it) of a pixel or tap."""
        c, a, b, member = line_digits(sizes, line)
        v = integer(first(sizes[ORIGIN]) + a * first(sizes[LINES_STEP]))
        u = integer(second(sizes[ORIGIN]) + b * second(sizes[LINES_STEP]))
        begin = np.int64(part) * second(sizes[BEGIN]) + c * np.int64(first(sizes[LINES_PLANES]))
        begin += v * np.int64(second(sizes[IMAGE])) + u + member * np.int64(second(sizes[LINES_PLANES]))
        return (v if line < sizes[1] else integer(FAR)), u, address(array, begin)

    @device_function
    def four_places(array, sizes, part, line):
        return (
            locate(array, sizes, part, line),
            locate(array, sizes, part, integer(line + 1)),
            locate(array, sizes, part, integer(line + 2)),
            locate(array, sizes, part, integer(line + 3)),
        )

    @device_function
    def one_place(array, sizes, part, line):
        row, column, begin = locate(array, sizes, part, line)
        apart = ITEM * second(sizes[LINES_PLANES])
        return row, column, begin, begin + apart, begin + 2 * apart, begin + 3 * apart

    @device_function
    def is_inside(row, column, walk, sizes, p, left):
        v = walk[0] if left > p else integer(FAR)
        return inside(integer(row + v), first(sizes[IMAGE])) and inside(integer(column + walk[1]), second(sizes[IMAGE]))

    @device_function
    def read_one(image, place, walk, sizes, p, left):
        row, column, begin = place
        return get_from(image, begin, walk[2]) if is_inside(row, column, walk, sizes, p, left) else number(0)

    @device_function
    def read_one_by_one(image, place, walk, other, sizes, p, left):
        a, b, c, d = place
        return (
            read_one(image, a, walk, sizes, p, left),
            read_one(image, b, walk, sizes, p, left),
            read_one(image, c, walk, sizes, p, left),
            read_one(image, d, walk, sizes, p, left),
        )

    @device_function
    def read_four(image, place, walk, other, sizes, p, left):
        row, column, a, b, c, d = place
        if is_inside(row, column, walk, sizes, p, left):
            at = walk[2]
            return get_from(image, a, at), get_from(image, b, at), get_from(image, c, at), get_from(image, d, at)
        return number(0), number(0), number(0), number(0)

    line_digits = digits(vectors)
    place, read = (one_place, read_four) if vectors else (four_places, read_one_by_one)
    return Operand(False, True, walk_begin, walk_step, place, read)


@cache
def digits(fours: bool) -> Any:
    """(block of samples or channels, row, column, which of the block) of a pixel or tap."""
    block = 4 if fours else 1

    @device_function
    def line_digits(sizes, line):
        rest, member = split(line, block)
        rest, b = split(rest, second(sizes[LINES]))
        c, a = split(rest, first(sizes[LINES]))
        return c, a, b, member

    return line_digits


@cache
def out_places(vectors: bool) -> Any:
    """Where in the output four pixels or taps lie, in its first row."""
    line_digits = digits(vectors)

    @device_function
    def place(sizes, part, line):
        c, a, b, member = line_digits(sizes, line)
        at = second(sizes[OUT_PITCH_ORIGIN]) + a * first(sizes[OUT_STEP]) + b * second(sizes[OUT_STEP])
        at += np.int64(part) * sizes[0] * first(sizes[OUT_PITCH_ORIGIN])
        return at + c * np.int64(first(sizes[OUT_PLANES])) + member * np.int64(second(sizes[OUT_PLANES]))

    @device_function
    def four_places(sizes, part, line):
        return (
            place(sizes, part, line),
            place(sizes, part, integer(line + 1)),
            place(sizes, part, integer(line + 2)),
            place(sizes, part, integer(line + 3)),
        )

    @device_function
    def one_place(sizes, part, line):
        at, apart = place(sizes, part, line), second(sizes[OUT_PLANES])
        return at, at + apart, at + 2 * apart, at + 3 * apart

    return one_place if vectors else four_places


@device_function
def out_pitch(sizes):
    return first(sizes[OUT_PITCH_ORIGIN])


def convolution(name: str) -> Product:
    return Product(f"conv {name}", walked, seen, whole_matrix, out_places, out_pitch)


FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = map(convolution, ("forward", "input gradient", "weight gradient"))


# ---------------------------------------------------------------------- geometry, on the host


class Side(NamedTuple):
    """Pixels or taps: so many rows and columns, how far apart these lie in an array, and how far apart planes or samples."""

    size: tuple[int, int]
    steps: tuple[int, int]
    plane: int


class Geometry(NamedTuple):
    """What ``sizes`` says of a convolution.

    Attributes:
        image: rows and columns. walk: the side that p walks on. lines: the other one.
        origin: the row and the column that the first pixel sees through the first tap.
        part: from a group's first number in the image to the next group's.
        left: the walk's side in the left operand, whose lines are ``pitch`` apart and groups ``left_part``; it begins at
            ``left_origin``. out: the lines' side in the output; similarly.
        fours: whether four samples or channels share a place.
    """

    image: tuple[int, int]
    walk: Side
    lines: Side
    origin: tuple[int, int]
    part: int
    left: Side
    pitch: int
    left_part: int
    out: Side
    out_pitch: int
    fours: bool
    left_origin: int = 0
    out_origin: int = 0

    @lru_cache(maxsize=1 << 10)
    def sizes(self, depth: int) -> tuple[int, ...]:
        """For a tile of this depth."""
        (rows, columns), (down, across), plane = self.walk
        width = self.image[1]

        def places(c: int, i: int, j: int) -> tuple[int, int]:
            """What so many planes, rows and columns are in the image and in the left operand."""
            (left_down, left_across), left_plane = self.left[1:]
            return c * plane + i * down * width + j * across, c * left_plane + i * left_down + j * left_across

        rest, j = divmod(depth, max(1, columns))
        c, i = divmod(rest, max(1, rows))
        block = 4 if self.fours else 1
        pairs = (
            self.image, self.walk.size, self.walk.steps, (rows * down, columns * across), (i * down, j * across),
            places(c, i, j), places(0, 1, -columns), places(1, -rows, 0), (plane, self.left.plane),
            self.left.steps, (self.pitch, self.left_part), self.lines.size, self.lines.steps, self.origin,
            (block * self.lines.plane, self.lines.plane), (self.left_origin, self.part),
            self.out.steps, (block * self.out.plane, self.out.plane), (self.out_pitch, self.out_origin),
        )  # fmt: skip
        return tuple((a << 32) + (b & 0xFFFFFFFF) for a, b in pairs)


@lru_cache(maxsize=1 << 10)
def forward_geometry(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    (N, _, H, width), (_, C, kh, kw), (_, O, Ho, Wo) = x, W, y
    taps, pixels = Side(window.kernel, window.dilation, H * width), Side((Ho, Wo), window.stride, x[1] * H * width)
    k, filters = C * kh * kw, O * C // x[1]
    return Geometry(
        (H, width), taps, pixels, (-window.padding[0], -window.padding[1]), C * H * width,
        Side(window.kernel, (kw, 1), kh * kw), k, filters * k,
        Side((Ho, Wo), (Wo, 1), O * Ho * Wo), Ho * Wo, N % 4 == 0,
    )  # fmt: skip


@lru_cache(maxsize=1 << 10)
def weight_gradient_geometry(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    """The forward geometry with the sides of pixels and of taps exchanged, and so y and W."""
    forward = forward_geometry(window, x, W, y)
    filters = W[0] * W[1] // x[1]
    pixels, taps = forward.lines._replace(plane=forward.lines.plane), forward.walk
    return forward._replace(
        walk=pixels, lines=taps, left=forward.out, pitch=forward.out_pitch, left_part=filters * forward.out_pitch,
        out=forward.left, out_pitch=forward.pitch, fours=W[1] % 4 == 0,
    )  # fmt: skip


@lru_cache(maxsize=1 << 10)
def input_gradient_phases(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> list[Geometry]:
    """One for each remainder of a pixel's row and column by the strides."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    (N, C, H, width), (_, O, Ho, Wo) = x, y
    filters, taps = W[0] * W[1] // C, kh * kw
    phases = []
    for row in _phases(H, kh, sh, ph, dh):
        for column in _phases(width, kw, sw, pw, dw):
            size = row.taps, column.taps
            walk = Side(size, (row.tap_step, column.tap_step), Ho * Wo)
            lines = Side((row.pixels, column.pixels), (1, 1), O * Ho * Wo)
            left = Side(size, (row.every * kw, column.every), W[1] * taps)
            out = Side(lines.size, (sh * width, sw), C * H * width)
            phases.append(
                Geometry(
                    (Ho, Wo), walk, lines, (row.sees, column.sees), filters * Ho * Wo, left, taps, filters * W[1] * taps,
                    out, H * width, N % 4 == 0, row.tap * kw + column.tap, row.pixel * width + column.pixel,
                )
            )  # fmt: skip
    return phases


class Phase(NamedTuple):
    """Along one axis: the pixels pixel, pixel + stride, …, read by the taps tap, tap + every, …: every is negative, as later
    taps see earlier outputs.

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
        tap = next((i for i in range(kernel)[::-1][:every] if (pixel + padding - i * dilation) % stride == 0), None)
        if tap is None:
            yield Phase(pixel, pixels, 0, 1, 0, 0, 0)
        else:
            sees = (pixel + padding - tap * dilation) // stride
            yield Phase(pixel, pixels, tap, -every, tap // every + 1, sees, dilation // common)


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
        FORWARD, y, W, x, 0.0, O // parts, N * pixels, k, vectors=here.fours,
        whole=not here.fours and pixels % 4 == 0 and aligned(y), extra=PLAIN if b is None else ROW_BIAS, array=b,
        activated=True, parts=parts, geometry=here.sizes,
    )  # fmt: skip


@conv2d_input_gradient.cuda
def conv2d_input_gradient_cuda(dx, dy, W, window):
    _check(dx, dy, W)
    N, channels, filters = dx.shape[0], W.shape[1], W.shape[0] * W.shape[1] // dx.shape[1]
    for phase in input_gradient_phases(window, dx.shape, W.shape, dy.shape):
        (taps_down, taps_across), (rows, columns) = phase.walk.size, phase.lines.size
        side_by_side = window.stride == (1, 1) and not phase.fours
        multiply(
            INPUT_GRADIENT, dx, W, dy, 0.0, channels, N * rows * columns, filters * taps_down * taps_across,
            vectors=phase.fours, whole=side_by_side and rows * columns % 4 == 0 and aligned(dx),
            parts=dx.shape[1] // channels, chunked=window.stride == (1, 1), geometry=phase.sizes,
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
        WEIGHT_GRADIENT, dW, dy, x, beta, O // parts, taps, dy.size // O, vectors=here.fours,
        whole=not here.fours and taps % 4 == 0 and aligned(dW), parts=parts, geometry=here.sizes, **more,
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
