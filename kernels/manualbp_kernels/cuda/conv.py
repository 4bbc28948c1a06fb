"""Convolution on a GPU: three products on the tile of ``gemm.py``, whose patches are never written out.

    forward          y  = W x̃      m filters        n pixels of y     p runs over taps (c,i,j)
    input gradient   dx = W̃ δ̃      m channels       n pixels of dx    p runs over taps (o,i,j)
    weight gradient  dW = δ x̃ᵀ     m filters        n taps (c,i,j)    p runs over pixels of y

The right operand always is an image seen from two sides, pixels and taps: its number (pixel, tap) is the image's at the sum of
two places, 0 outside. One side are the tile's columns, of which a thread keeps some; the other one is p, on which it walks:

    place of a pixel (n,h,w)   n · sample + (h·sh − ph) · W + (w·sw − pw)
    place of a tap (c,i,j)     c · plane  +  i·dh · W       +  j·dw           added up, with rows and columns beside them

What costs is to ask whether that is inside, number by number. Samples are alike: so the columns are numbered such that a
thread's 4, 8 or 16 of them are one pixel of as many samples (in the weight gradient: one tap of as many channels),

    column        0 1 2 3 │ 4 5 6 7 │ 8 9 …
    sample        0 1 2 3 │ 0 1 2 3 │ 0 1 …     which then asks once, and has one index for all: they begin a sample apart.
    pixel           0,0   │   0,1   │  0,2      Neighbouring threads are neighbouring pixels or taps as before.

Where the number of samples is no multiple of that, each column is a place of its own.

A walk has digits, as a clock has hours, minutes and seconds: a step of 8 adds to row, column and place, and there are two
carries; neither a division nor a product is in the loop. The left operand, filters or δ, is read along the same walk: its
place is one more number that is carried along, and each of a thread's lines begins where it begins.

The input's gradient is a convolution of stride 1, too. Pixel v of x is read by tap i of output h where v = h·sh + i·dh − ph:
with stride 1 there is one h for each i. With larger strides the pixels v ≡ r (mod sh) have the same taps, every
sh / gcd(sh, dh)-th one, and see neighbouring h: for each such phase there is one launch, and nothing is multiplied by 0. Its
taps are walked on from the last to the first, which see later and later h.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from math import gcd, prod
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
LARGEST = (1 << 31) - 512  # elements of an array: its places, and those of a tile beyond its end, are integers of 32 bits

# Where ``sizes`` holds what, two numbers in one: see ``Geometry.sizes``.
IMAGE, WALK, WALK_STEPS, WALK_ENDS, WALK_PLANES, STEP, STEP_PLACES, COLUMN_CARRY, ROW_CARRY, PLANES = range(SIZES, SIZES + 10)
LEFT_STEPS, LEFT_PITCH, PARTS, LINES, LINES_STEPS, ORIGIN, OUT_STEPS, LINES_PLANES, OUT_PITCH = range(SIZES + 10, SIZES + 19)


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
    """Quotient and remainder."""
    quotient = integer(np.uint32(a) // np.uint32(b))
    return quotient, integer(a - quotient * b)


# ---------------------------------------------------------------------- the walk along p


@device_function
def walk_begin(sizes, p):
    """(how many planes are left, row, column, place in the image, place in the left operand) of number p of the walk."""
    rest, j = split(p, second(sizes[WALK]))
    c, i = split(rest, first(sizes[WALK]))
    v, u = i * first(sizes[WALK_STEPS]), j * second(sizes[WALK_STEPS])
    at = c * first(sizes[WALK_PLANES]) + v * second(sizes[IMAGE]) + u
    left_at = c * second(sizes[WALK_PLANES]) + i * first(sizes[LEFT_STEPS]) + j * second(sizes[LEFT_STEPS])
    return integer(first(sizes[PLANES]) - c), integer(v), integer(u), integer(at), integer(left_at)


@device_function
def walk_step(sizes, walk):
    """The same, one step of the tile further."""
    c, v, u, at, left_at = walk
    c, v, u = integer(c - second(sizes[PLANES])), integer(v + first(sizes[STEP])), integer(u + second(sizes[STEP]))
    at, left_at = integer(at + first(sizes[STEP_PLACES])), integer(left_at + second(sizes[STEP_PLACES]))
    if u >= second(sizes[WALK_ENDS]):
        v, u = integer(v + first(sizes[WALK_STEPS])), integer(u - second(sizes[WALK_ENDS]))
        at, left_at = integer(at + first(sizes[COLUMN_CARRY])), integer(left_at + second(sizes[COLUMN_CARRY]))
    if v >= first(sizes[WALK_ENDS]):
        c, v = integer(c - 1), integer(v - first(sizes[WALK_ENDS]))
        at, left_at = integer(at + first(sizes[ROW_CARRY])), integer(left_at + second(sizes[ROW_CARRY]))
    return c, v, u, at, left_at


# ---------------------------------------------------------------------- operands


def walked(tile: Tile, number: Any, vectors: bool) -> Operand:
    """Filters or δ: number (line, p) lies where the line begins + what the image's walk says; both share p out alike."""

    @device_function
    def begin(sizes, p):
        return p

    @device_function
    def step(sizes, walk):
        return walk

    @device_function
    def line_begin(array, sizes, part, line):
        """A line that is not there is the last one, whose sums nobody writes."""
        at = part * np.int64(first(sizes[PARTS])) + second(sizes[LEFT_PITCH])
        return address(array, at + min(line, integer(sizes[0] - 1)) * np.int64(first(sizes[LEFT_PITCH])))

    @device_function
    def place(array, sizes, part, line):
        return (
            line_begin(array, sizes, part, line),
            line_begin(array, sizes, part, integer(line + 1)),
            line_begin(array, sizes, part, integer(line + 2)),
            line_begin(array, sizes, part, integer(line + 3)),
        )

    @device_function
    def read(array, place, walk, seen, sizes, p, left):
        planes, at = seen[0], seen[4]
        if planes > 0:
            a, b, c, d = place
            return get_from(array, a, at), get_from(array, b, at), get_from(array, c, at), get_from(array, d, at)
        return number(0), number(0), number(0), number(0)

    return Operand(False, True, begin, step, place, read)


def seen(tile: Tile, number: Any, vectors: bool) -> Operand:
    """An image seen through windows. A thread has some pixels and walks on taps, or the other way round."""
    locate = locator(tile, vectors)

    @device_function
    def one_place(array, sizes, part, line):
        """(row, column, which number of the image) for a pixel or tap."""
        c, a, b = locate(sizes, line)
        v = integer(first(sizes[ORIGIN]) + a * first(sizes[LINES_STEPS]))
        u = integer(second(sizes[ORIGIN]) + b * second(sizes[LINES_STEPS]))
        at = part * np.int64(second(sizes[PARTS])) + c * np.int64(first(sizes[LINES_PLANES])) + v * second(sizes[IMAGE]) + u
        return (v if line < sizes[1] else integer(FAR)), u, at

    @device_function
    def beside(array, sizes, place, lines):
        """The same place in four samples or channels, so many further."""
        plane = np.int64(first(sizes[LINES_PLANES]))
        v, u, at = place
        a = at + lines * plane
        b, c, d = a + plane, a + 2 * plane, a + 3 * plane
        return v, u, address(array, a), address(array, b), address(array, c), address(array, d)

    @device_function
    def alone(array, sizes, part, line):
        v, u, at = one_place(array, sizes, part, line)
        return v, u, address(array, at)

    @device_function
    def four_places(array, sizes, part, line):
        return (
            alone(array, sizes, part, line),
            alone(array, sizes, part, integer(line + 1)),
            alone(array, sizes, part, integer(line + 2)),
            alone(array, sizes, part, integer(line + 3)),
        )

    @device_function
    def there(sizes, place, walk):
        v, u = integer(place[0] + walk[1]), integer(place[1] + walk[2])
        return (walk[0] > 0) & inside(v, first(sizes[IMAGE])) & inside(u, second(sizes[IMAGE]))  # no "and": it would branch

    @device_function
    def read_one(array, place, walk, sizes):
        return get_from(array, place[2], walk[3]) if there(sizes, place, walk) else number(0)

    @device_function
    def read_one_by_one(array, places, walk, other, sizes, p, left):
        a, b, c, d = places
        return (
            read_one(array, a, walk, sizes),
            read_one(array, b, walk, sizes),
            read_one(array, c, walk, sizes),
            read_one(array, d, walk, sizes),
        )

    @device_function
    def read_four(array, place, walk, other, sizes, p, left):
        if there(sizes, place, walk):
            at, a, b, c, d = walk[3], place[2], place[3], place[4], place[5]
            return get_from(array, a, at), get_from(array, b, at), get_from(array, c, at), get_from(array, d, at)
        return number(0), number(0), number(0), number(0)

    if vectors:
        return Operand(False, True, walk_begin, walk_step, one_place, read_four, beside)
    return Operand(False, True, walk_begin, walk_step, four_places, read_one_by_one)


def alike(tile: Tile) -> int:
    """So many samples or channels may lie at one place: all that a thread carries."""
    return 4 * tile.fours(tile.columns)


@cache
def locator(tile: Tile, vectors: bool) -> Any:
    """(sizes, number of a column) → (sample, row, column) of its pixel or (channel, row, column) of its tap."""
    block = alike(tile) if vectors else 1

    @device_function
    def locate(sizes, line):
        rest, member = split(line, block)
        rest, b = split(rest, second(sizes[LINES]))
        c, a = split(rest, first(sizes[LINES]))
        return integer(c * block + member), a, b

    return locate


def out_places(tile: Tile, vectors: bool) -> Any:
    """Where in the output four columns lie, in its first row."""
    locate = locator(tile, vectors)

    @device_function
    def place(sizes, part, line):
        c, a, b = locate(sizes, line)
        at = part * sizes[0] * first(sizes[OUT_PITCH]) + second(sizes[OUT_PITCH])
        return at + c * np.int64(second(sizes[LINES_PLANES])) + a * first(sizes[OUT_STEPS]) + b * second(sizes[OUT_STEPS])

    @device_function
    def apart(sizes, part, line):
        return (
            place(sizes, part, line),
            place(sizes, part, integer(line + 1)),
            place(sizes, part, integer(line + 2)),
            place(sizes, part, integer(line + 3)),
        )

    @device_function
    def planes_apart(sizes, part, line):
        at, plane = place(sizes, part, line), np.int64(second(sizes[LINES_PLANES]))
        return at, at + plane, at + 2 * plane, at + 3 * plane

    return planes_apart if vectors else apart


@device_function
def out_pitch(sizes):
    return first(sizes[OUT_PITCH])


FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = (
    Product(f"conv {name}", walked, seen, whole_matrix, out_places, out_pitch)
    for name in ("forward", "input gradient", "weight gradient")
)


# ---------------------------------------------------------------------- geometry, on the host


class Side(NamedTuple):
    """Pixels or taps in an array: rows and columns lie so far apart, and planes or samples."""

    steps: tuple[int, int]
    plane: int


class Geometry(NamedTuple):
    """What ``sizes`` says of a convolution.

    Attributes:
        image: rows and columns.
        walk, lines: what p walks on, and what the columns of the tile are: (planes or samples, rows, columns).
        walk_seen, lines_seen: how these lie in the image, with steps in its rows and columns.
        origin: the row and the column that the first pixel sees through the first tap.
        part: from a group's first number in the image to the next group's.
        left: how the walk lies in the left operand. out: how the lines lie in the output.
        left_pitch, left_part, out_pitch: from one line to the next, and from a group's first to the next group's.
        left_begin, out_begin: where the first number of the walk and the first line lie.
    """

    image: tuple[int, int]
    walk: tuple[int, int, int]
    lines: tuple[int, int, int]
    walk_seen: Side
    lines_seen: Side
    origin: tuple[int, int]
    part: int
    left: Side
    out: Side
    left_pitch: int
    left_part: int
    out_pitch: int
    left_begin: int = 0
    out_begin: int = 0

    @lru_cache(maxsize=1 << 10)  # noqa: B019  what is held are some integers
    def by_tile(self, tile: Tile) -> tuple[bool, tuple[int, ...]]:
        """Whether a thread's columns can be one place of as many samples or channels; and ``sizes``."""
        return self.lines[0] % alike(tile) == 0, self.sizes(tile.depth)

    def sizes(self, depth: int) -> tuple[int, ...]:
        """For steps of so many p."""
        planes, rows, columns = self.walk
        down, across = self.walk_seen.steps

        def places(c: int, i: int, j: int) -> tuple[int, int]:
            """What so many planes, rows and columns of the walk are in the image and in the left operand."""
            left_down, left_across = self.left.steps
            at = c * self.walk_seen.plane + i * down * self.image[1] + j * across
            return at, c * self.left.plane + i * left_down + j * left_across

        rest, j = divmod(depth, max(1, columns))
        c, i = divmod(rest, max(1, rows))
        planes = planes if rows * columns else 0  # a phase without taps
        pairs = (
            self.image, (rows, columns), (down, across), (rows * down, columns * across), places(1, 0, 0),
            (i * down, j * across), places(c, i, j), places(0, 1, -columns), places(1, -rows, 0), (planes, c),
            self.left.steps, (self.left_pitch, self.left_begin), (self.left_part, self.part),
            self.lines[1:], self.lines_seen.steps, self.origin,
            self.out.steps, (self.lines_seen.plane, self.out.plane), (self.out_pitch, self.out_begin),
        )  # fmt: skip
        return tuple((a << 32) + (b & 0xFFFFFFFF) for a, b in pairs)


@lru_cache(maxsize=1 << 10)
def forward_geometry(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    (N, channels, H, width), (O, C, kh, kw), (Ho, Wo) = x, W, y[2:]
    k, filters = C * kh * kw, O * C // channels
    return Geometry(
        image=(H, width), walk=(C, kh, kw), lines=(N, Ho, Wo),
        walk_seen=Side(window.dilation, H * width), lines_seen=Side(window.stride, channels * H * width),
        origin=(-window.padding[0], -window.padding[1]), part=C * H * width,
        left=Side((kw, 1), kh * kw), out=Side((Wo, 1), O * Ho * Wo),
        left_pitch=k, left_part=filters * k, out_pitch=Ho * Wo,
    )  # fmt: skip


@lru_cache(maxsize=1 << 10)
def weight_gradient_geometry(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> Geometry:
    """Forward's, with pixels in the place of taps, and W in the place of y."""
    forward = forward_geometry(window, x, W, y)
    filters = W[0] * W[1] // x[1]
    return forward._replace(
        walk=forward.lines, lines=forward.walk, walk_seen=forward.lines_seen, lines_seen=forward.walk_seen,
        left=forward.out, out=forward.left,
        left_pitch=forward.out_pitch, left_part=filters * forward.out_pitch, out_pitch=forward.left_pitch,
    )  # fmt: skip


@lru_cache(maxsize=1 << 10)
def input_gradient_phases(window: Any, x: tuple[int, ...], W: tuple[int, ...], y: tuple[int, ...]) -> list[Geometry]:
    """One for each remainder of a pixel's row and column by the strides."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    (N, channels, H, width), (O, C), (Ho, Wo) = x, W[:2], y[2:]
    filters, taps = O * C // channels, kh * kw
    return [
        Geometry(
            image=(Ho, Wo), walk=(filters, row.taps, column.taps), lines=(N, row.pixels, column.pixels),
            walk_seen=Side((row.tap_step, column.tap_step), Ho * Wo), lines_seen=Side((1, 1), O * Ho * Wo),
            origin=(row.sees, column.sees), part=filters * Ho * Wo,
            left=Side((row.every * kw, column.every), C * taps), out=Side((sh * width, sw), channels * H * width),
            left_pitch=taps, left_part=filters * C * taps, out_pitch=H * width,
            left_begin=row.tap * kw + column.tap, out_begin=row.pixel * width + column.pixel,
        )
        for row in _phases(H, kh, sh, ph, dh)
        for column in _phases(width, kw, sw, pw, dw)
    ]  # fmt: skip


class Phase(NamedTuple):
    """Along one axis: the pixels pixel, pixel + stride, …, read by the taps tap, tap + every, …, the last one first.

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
        last_ones = range(kernel - 1, max(-1, kernel - 1 - every), -1)
        tap = next((i for i in last_ones if (pixel + padding - i * dilation) % stride == 0), None)
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


def _convolve(
    product: Product, C: Any, A: Any, B: Any, beta: float, m: int, parts: int, here: Geometry, whole: bool, **more: Any
) -> None:
    """C's columns of ``here``, of m rows in each part. ``whole`` if these lie side by side in whole fours."""
    multiply(
        product, C, A, B, beta, m, prod(here.lines), prod(here.walk), whole=whole and aligned(C), parts=parts,
        geometry=here.by_tile, **more,
    )  # fmt: skip


@conv2d.cuda
def conv2d_cuda(y, x, W, b, window):
    _check(y, x, W)
    parts = x.shape[1] // W.shape[1]
    here = forward_geometry(window, x.shape, W.shape, y.shape)
    whole, extra = here.out_pitch % 4 == 0, PLAIN if b is None else ROW_BIAS
    _convolve(FORWARD, y, W, x, 0.0, len(W) // parts, parts, here, whole, extra=extra, array=b, activated=True)


@conv2d_input_gradient.cuda
def conv2d_input_gradient_cuda(dx, dy, W, window):
    _check(dx, dy, W)
    C, one_phase = W.shape[1], window.stride == (1, 1)
    for phase in input_gradient_phases(window, dx.shape, W.shape, dy.shape):
        whole = one_phase and phase.out_pitch % 4 == 0
        _convolve(INPUT_GRADIENT, dx, W, dy, 0.0, C, dx.shape[1] // C, phase, whole, chunked=one_phase)


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
    parts = x.shape[1] // dW.shape[1]
    here = weight_gradient_geometry(window, x.shape, dW.shape, dy.shape)
    _convolve(WEIGHT_GRADIENT, dW, dy, x, beta, len(dW) // parts, parts, here, here.out_pitch % 4 == 0, **more)


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
