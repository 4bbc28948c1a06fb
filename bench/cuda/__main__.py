"""``python -m bench.cuda``: compile every kernel for a GPU, read its machine code, and say what it could reach."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import chain, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from manualbp_kernels import KERNELS, Kernel, look_everywhere
from manualbp_kernels.cuda.array import DeviceArray
from manualbp_kernels.cuda.device import Launch, signature

from ..works import KERNELS as OPERATIONS
from ..works import STEPS, Operation, TrainingStep, matmul
from . import report
from .assemble import assemble, ptx
from .record import on_device, recorded, threads
from .report import Compiled
from .roofline import LIMITS

PAGE = Path("docs/cuda.md")
TESTS = Path(__file__).parents[2] / "tests"
ONE_OF_EACH = ("xor-4", "mlp-64", "wide-256", "cnn-32", "rnn-64", "lstm-64", "gru-64")
GRIDS_EACH = 8
DRAWS = 4  # of each kernel case
SAMPLES = 4  # the most that a recurrent kernel's case has
PRODUCTS = (matmul(4096), matmul(1024), matmul(25088, 64, 288))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description="Compile the kernels for a GPU, without one.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="kernels whose name matches it")
    parser.add_argument("--out", type=Path, metavar="PAGE", help=f"write the tables into a page, such as {PAGE}")
    args = parser.parse_args()
    wanted = re.compile(args.only)

    import manualbp  # noqa: F401  whose layers, losses and optimizers use every kernel there is

    look_everywhere()
    everything = compile_all(list(grids(wanted)))
    wrong = [problem for each in everything for problem in report.problems(each)]
    text = "\n\n".join(document(everything, wanted))
    print(text)
    if args.out:
        report.put(args.out, text)
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


def document(everything: list[Compiled], wanted: re.Pattern[str]) -> Iterator[str]:
    yield report.heading()
    yield "### Kernels"
    yield report.kernel_table(everything)
    if wanted.search("matmul_nn"):
        yield "### Speed of the tile"
        yield report.product_table(everything, [tiles(work) for work in PRODUCTS])
    if not wanted.pattern:
        yield "### Roofline"
        yield report.roofline_table([roofline(work) for work in (PRODUCTS[0], *OPERATIONS)])
        yield "### Launches"
        yield report.launches_table([(work.title, step_launches(work)) for work in STEPS if work.name in ONE_OF_EACH])


# ---------------------------------------------------------------------- what is launched


def grids(wanted: re.Pattern[str]) -> Iterator[Launch]:
    """One launch of each grid for each combination of argument types: of the tests' kernel cases, and of training steps."""
    launches = chain(
        *(case(name, dtype) for name, dtype in product(filter(wanted.search, KERNELS), ("float32", "float64"))),
        *(step_launches(work) for work in STEPS if not wanted.pattern),
        *([tiles(work)[2]] for work in PRODUCTS if wanted.search("matmul_nn")),
    )
    seen = set()
    for launch in launches:
        key = launch.grid.name, signature(launch.arguments)
        if key not in seen:
            seen.add(key)
            yield launch


def case(name: str, dtype: str) -> list[Launch]:
    """Of a kernel: small sizes, with and without bias and so on, and large ones where these have other tiles."""
    sys.path.insert(0, str(TESTS))
    from cases import KERNELS as CASES  # type: ignore[import-not-found, unused-ignore]
    from cases import Draw

    class Large(Draw):  # type: ignore[misc, unused-ignore]
        """Numbers do not matter, so none are drawn."""

        def sizes(self, count: int, high: int = 9) -> tuple[int, ...]:
            return (2048,) * count if count < 4 else (256, 1, 64, 32 << self.pick(0, 3))  # N, groups, C, O

        def rows(self) -> int:
            return 2048

        def __call__(self, *shape: int) -> Any:
            return np.empty(shape, self.dtype)

    def many_samples(low: int, high: int) -> int:
        return 160 if high == SAMPLES else high

    drawn = [Draw(np.random.default_rng(seed), dtype) for seed in range(DRAWS)]
    if re.match("matmul|linear|conv2d", name):
        drawn += [Large(np.random.default_rng(seed), dtype) for seed in range(2 * DRAWS)]
    if re.match("rnn|lstm|gru", name):
        drawn.append(Large(np.random.default_rng(0), dtype, pick=many_samples))
    with recorded() as launches:
        for draw in drawn:
            KERNELS[name].form("cuda")(*on_device(CASES[name].arguments(draw)))
    return list(launches)


def compile_all(launches: list[Launch]) -> list[Compiled]:
    """By a process for each processor, whose memory Numba and NVVM fill by the gigabyte: it is replaced after some grids."""
    pool = get_context("fork").Pool(initializer=_launches.extend, initargs=(launches,), maxtasksperchild=GRIDS_EACH)
    with pool:
        return pool.map(compiled, range(len(launches)), chunksize=1)


_launches: list[Launch] = []  # of a process that compiles


def compiled(number: int) -> Compiled:
    launch = _launches[number]
    print(f"{launch.grid.name} …", file=sys.stderr, flush=True)
    texts = ptx(launch.grid, signature(launch.arguments), LIMITS)
    sizes = [a.itemsize for a in launch.arguments if isinstance(a, DeviceArray) and a.dtype.kind == "f"]
    made = {c: assemble(text, c) for c, text in texts.items()}
    return Compiled(launch.grid.name, threads(launch), min(sizes, default=4), made)


# ---------------------------------------------------------------------- works


def tiles(work: Operation) -> tuple[str, int, Launch]:
    (m, k), (_, n) = work.shapes.values()
    A, B, C = (np.empty(shape, np.float32) for shape in ((m, k), (k, n), (m, n)))
    with recorded() as launches:
        KERNELS["matmul_nn"].form("cuda")(*on_device((C, A, B, 0.0)))
    return work.title, work.flops, launches[0]


def roofline(work: Operation) -> tuple[str, float, float]:
    """(title, operations, bytes) of the kernel calls of a work, as ``program.profile`` counts them."""
    from manualbp.profile import moved, operations
    from manualbp_kernels.cpu.replay import Call

    from ..engines.manualbp import operation

    calls: list[Call] = []

    def note(kernel: Kernel, place: str) -> Any:
        return lambda *arguments: calls.append(Call(kernel, arguments))

    with patch.object(Kernel, "form", note):
        operation(work).step()
    last = calls[-1]  # some have got ready with others before
    return work.title, float(operations(last)), float(moved(last))


def step_launches(work: TrainingStep) -> list[Launch]:
    """What a training step launches."""
    from ..engines.cuda import training_step

    with recorded() as launches:
        running = training_step(work)
        running.step()  # has to make its arrays first
        launches.clear()
        running.step()
        return list(launches)


if __name__ == "__main__":
    sys.exit(main())
