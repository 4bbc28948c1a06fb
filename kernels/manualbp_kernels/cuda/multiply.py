"""How a product is launched on a GPU: by which tile of ``gemm.py``, and with its sums over p cut into how many chunks.

Both follow from the sizes alone, never from the card: so every card gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from .ahead import rectified
from .device import choose, scratch, tickets
from .gemm import PLAIN, Product, Tile, product_grid
from .memory import ALIGNMENT

LARGE = Tile(128, 128, 8, 4, 2)
MIDDLE = Tile(64, 128, 8, 2, 2)
SMALL = Tile(64, 64, 16, 2, 2)  # enough blocks from a small C
FLAT = Tile(32, 256, 8, 2, 2)  # few filters, many pixels
LARGE64, SMALL64, FLAT64 = Tile(128, 128, 8, 2, 2), Tile(64, 64, 16, 2, 1), Tile(32, 128, 16, 2, 1)  # twice the registers
REAL = {  # for numbers of so many bytes, and how fast each is, about, as an H100 says
    4: {LARGE: 1.0, MIDDLE: 0.93, SMALL: 0.93, FLAT: 0.9},
    8: {LARGE64: 1.0, SMALL64: 0.9, FLAT64: 0.9},
}
SIMULATED = {Tile(16, 16, 4, 1, 1): 1.0, Tile(8, 32, 4, 1, 1): 0.9, Tile(16, 32, 8, 2, 1): 0.9}
TILES = choose(REAL, {4: SIMULATED, 8: SIMULATED})
WAVE = choose(216, 6)  # blocks that fill a GPU: two for each of an A100's multiprocessors
CHUNK = choose(256, 12)  # no block's share of p is smaller
IN_CHUNKS = 0.85  # of its speed has a tile whose chunks must be added up


class Plan(NamedTuple):
    """The tile, and into how many chunks p is cut."""

    tile: Tile
    chunk: int
    chunks: int


@cache
def plan(m: int, n: int, k: int, parts: int, chunked: bool, size: int) -> Plan:
    """For products of m × k by k × n numbers of ``size`` bytes, ``parts`` of them: the tile that wastes least, with blocks to
    fill a GPU."""
    most = max(1, k // CHUNK) if chunked else 1

    def rate(tile: Tile) -> float:
        blocks = -(-m // tile.rows) * -(-n // tile.columns) * parts
        used = m * n / (-(-m // tile.rows) * tile.rows * -(-n // tile.columns) * tile.columns)
        filled = 1.0 if blocks >= WAVE else max(blocks, IN_CHUNKS * min(WAVE, blocks * most)) / WAVE
        return used * TILES[size][tile] * filled

    tile = max(TILES[size], key=rate)
    blocks = -(-m // tile.rows) * -(-n // tile.columns) * parts
    chunks = max(1, min(WAVE // blocks, most))
    chunk = -(-k // chunks // tile.depth) * tile.depth
    return Plan(tile, chunk, max(1, -(-k // chunk)) if chunk else 1)


def aligned(*arrays: Any) -> bool:
    """Whether each array begins where four numbers can be read as one."""
    return all(array.address % ALIGNMENT == 0 for array in arrays)


def multiply(
    product: Product, C: Any, A: Any, B: Any, beta: float, m: int, n: int, k: int, *, vectors: bool = False,
    whole: bool = False, extra: str = PLAIN, array: Any = None, parts: int = 1, chunked: bool = True, activated: bool = False,
    geometry: Callable[[Tile], tuple[bool, tuple[int, ...]]] | None = None,
) -> None:  # fmt: skip
    """C = β C + A B (+ bias) in one launch.

    ``array`` is what ``extra`` speaks of; with ``activated`` a ReLU that follows is computed too, see ``ahead.py``. Whether all
    fours are whole and aligned the caller knows: of A and B (``vectors``), and of C's rows (``whole``). ``geometry`` says for
    the tile whether its operands have their ``vectors``, and then no fours in C, and what stands in ``sizes`` behind the first.
    """
    tile, chunk, chunks = plan(m, n, k, parts, chunked, C.itemsize)
    blocks = -(-n // tile.columns), -(-m // tile.rows), parts * chunks
    apart, behind = geometry(tile) if geometry else (False, ())
    sizes = (m, n, k, chunk, chunks, int(whole and not apart), *behind)
    R, bias = rectified(C) if activated else None, C if array is None else array
    launch = product_grid(product, tile, C.dtype, vectors or apart, extra, chunks > 1, R is not None)[blocks, tile.threads]
    if chunks > 1:
        tiles = blocks[0] * blocks[1] * parts
        partial = scratch(tiles * chunks * tile.rows * (tile.columns + 1), C.dtype)
        launch(C, bias, C if R is None else R, partial, tickets(tiles), A, B, sizes, beta)
    elif R is not None:
        launch(C, bias, R, A, B, sizes, beta)
    elif extra == PLAIN:
        launch(C, A, B, sizes, beta)
    else:
        launch(C, bias, A, B, sizes, beta)
