"""The ladder of docs/kernels.md: one matrix product, C = A B in float32, written six times, each time faster.

    python -m bench.ladder --out docs/kernels.md      measures the rungs and writes their table between its markers

Every rung computes the same; before anything is timed its result is compared with NumPy's on small integers. Rungs take
turns, and the order rotates. All but the last use one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from manualbp_kernels import get_num_threads
from manualbp_kernels.cpu.gemm import KC, OUTPUT, ZERO, block, gemm, panel_of, product
from manualbp_kernels.cpu.jit import jit

from . import machine
from .report import put_table, table
from .turns import in_turns
from .units import digits

BLOCK = 128  # 128 × 128 numbers are 64 KiB
MARKERS = "<!-- ladder -->", "<!-- /ladder -->"


@jit
def three_loops(C, A, B):
    """As the formula says: each number of C by itself."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    for i in range(m):
        for j in range(n):
            total = C.dtype.type(0)
            for p in range(k):
                total += A[i, p] * B[p, j]
            C[i, j] = total


@jit
def reordered(C, A, B):
    """p before j: the innermost loop runs along rows of B and C."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    C[:] = 0
    for i in range(m):
        for p in range(k):
            a = A[i, p]
            for j in range(n):
                C[i, j] += a * B[p, j]


@jit
def blocked(C, A, B):
    """The same in blocks: one of B stays in the cache while all rows of A pass over it."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    C[:] = 0
    for jc in range(0, n, BLOCK):
        for pc in range(0, k, BLOCK):
            for i in range(m):
                c = C[i, jc : jc + BLOCK]
                for p in range(pc, min(pc + BLOCK, k)):
                    a, b = A[i, p], B[p, jc : jc + BLOCK]
                    for j in range(len(c)):
                        c[j] += a * b[j]


@jit
def tiled(C, A, B):
    """Tiles of 8 rows and 3 vectors in registers; A and B are read where they lie."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    c, a, b = C.reshape(-1), A.reshape(-1), B.reshape(-1)
    rows, steps = np.arange(m) * k, np.arange(KC)
    for pc in range(0, k, KC):
        start = ZERO if pc == 0 else OUTPUT
        depth = min(KC, k - pc)
        block(m, n, depth, panel_of(n, 4), c, 0, n, a, pc, rows, steps, b, pc * n, 1, steps * n, start, c, 0)


@jit
def packed(C, A, B):
    """The same from panels, copied so that the tile reads them in order."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    c, a, b = C.reshape(-1), A.reshape(-1), B.reshape(-1)
    gemm(m, n, k, c, 0, n, a, 0, k, 1, b, 0, n, 1, ZERO, c, 0)


@jit
def threaded(C, A, B):
    """The same, each thread with its own columns of C."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    product(m, n, k, C.reshape(-1), n, A.reshape(-1), k, 1, B.reshape(-1), n, 1, ZERO, C.reshape(-1))


Multiply = Callable[[Any, Any, Any], None]
RUNGS: dict[str, Multiply] = {
    "three loops": three_loops,
    "loops reordered": reordered,
    "blocks": blocked,
    "tile in registers": tiled,
    "packed panels": packed,
    "threads": threaded,
}


class Pace(NamedTuple):
    """How many turns each rung has, and how long one is at least, in seconds."""

    turns: int = 7
    seconds: float = 0.2


def operands(m: int, n: int, k: int) -> tuple[Any, Any, Any]:
    """C, A, B with small integers, whose products and sums are exact."""
    rng = np.random.default_rng(0)
    A, B = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((m, k), (k, n)))
    return np.full((m, n), np.nan, np.float32), A, B


def check(multiply: Multiply, m: int, n: int, k: int) -> None:
    """ValueError if a rung does not compute the product."""
    C, A, B = operands(m, n, k)
    multiply(C, A, B)
    if not np.array_equal(C, A @ B):
        raise ValueError(f"{multiply!r} is wrong for {m}×{k} and {k}×{n}")


def measure(size: int, pace: Pace) -> dict[str, float]:
    """The median of the seconds of one product, for each rung."""
    C, A, B = operands(size, size, size)
    for multiply in RUNGS.values():
        check(multiply, 37, 61, 23)
        check(multiply, size, size, size)
    seconds: dict[str, list[float]] = {name: [] for name in RUNGS}
    for name in in_turns(list(RUNGS), pace.turns):
        multiply, count, begin = RUNGS[name], 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < pace.seconds or not count:
            multiply(C, A, B)
            count += 1
        seconds[name].append(passed / count)
    return {name: statistics.median(times) for name, times in seconds.items()}


def report(sizes: Sequence[int], times: Sequence[dict[str, float]]) -> str:
    """Date, machine and a table of GFLOP/s, and how much faster than the rung before, at the last size."""
    facts = machine.describe()
    rows, before = [], None
    for name, last in times[-1].items():
        speeds = [digits(2 * size**3 / found[name] / 1e9) for size, found in zip(sizes, times, strict=True)]
        rows.append([name, *speeds, f"{digits(before / last, 2)}×" if before else ""])
        before = last
    today = datetime.now(UTC).date().isoformat()
    where = f"{facts['processor']}, {facts['vectors']}, one thread and in the last row {get_num_threads()}; {today}."
    head = ["GFLOP/s", *(f"n = {size}" for size in sizes), "over the rung before"]
    return f"{where}\n\n{table(head, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ladder", description="Measure the rungs of the matrix product.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024], metavar="N", help="the matrices are N × N")
    parser.add_argument("--turns", type=int, default=Pace().turns, help="per rung and size")
    parser.add_argument("--out", type=Path, metavar="PAGE", help="write the table between its markers instead of printing")
    args = parser.parse_args()
    text = report(args.sizes, [measure(size, Pace(args.turns)) for size in args.sizes])
    if args.out:
        put_table(args.out, text, MARKERS)
    else:
        print(text)


if __name__ == "__main__":
    main()
