"""``python -m bench.cuda``: compile every kernel for a GPU, read its machine code, and say what it could reach."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from manualbp_kernels import KERNELS, Kernel, look_everywhere
from manualbp_kernels.cuda.array import DeviceArray
from manualbp_kernels.cuda.device import Launch

from ..works import KERNELS as OPERATIONS
from ..works import STEPS, Operation, TrainingStep, matmul
from . import report
from .assemble import assemble, ptx
from .record import on_device, recorded, signature
from .report import Compiled
from .roofline import LIMITS

PAGE = Path("docs/cuda.md")
TESTS = Path(__file__).parents[2] / "tests"
DRAWS = 4  # of each kernel case: with and without bias, and so on
PRODUCTS = (matmul(4096), matmul(1024), matmul(25088, 64, 288))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description="Compile the kernels for a GPU, without one.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="kernels whose name matches it")
    parser.add_argument("--out", type=Path, metavar="PAGE", help=f"write the tables into a page, such as {PAGE}")
    args = parser.parse_args()
    wanted = re.compile(args.only)

    look_everywhere()
    everything = [compiled(launch) for launch in cases(wanted)]
    wrong = [problem for each in everything for problem in report.problems(each)]
    text = "\n\n".join(document(everything, wanted))
    print(text)
    if args.out:
        report.put(args.out, text)
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


def document(everything: list[Compiled], wanted: re.Pattern[str]) -> Iterator[str]:
    yield report.heading()
    yield report.kernel_table(everything)
    if wanted.search("matmul_nn"):
        yield report.product_table(everything, [product(work) for work in PRODUCTS])
    if not wanted.pattern:
        yield report.roofline_table([roofline(work) for work in (PRODUCTS[0], *OPERATIONS)])
        yield report.launches_table([(work.title, step_launches(work)) for work in STEPS])


# ---------------------------------------------------------------------- what is launched


def cases(wanted: re.Pattern[str]) -> Iterator[Launch]:
    """One launch of each grid for each combination of argument types, from the kernel cases of the tests."""
    sys.path.insert(0, str(TESTS))
    from cases import KERNELS as CASES  # type: ignore[import-not-found, unused-ignore]
    from cases import Draw

    seen = set()
    for name, kernel in KERNELS.items():
        for dtype in ("float32", "float64"):
            for seed in range(DRAWS if wanted.search(name) else 0):
                arguments = CASES[name].arguments(Draw(np.random.default_rng(seed), dtype))
                with recorded() as launches:
                    kernel.form("cuda")(*on_device(arguments))
                for launch in launches:
                    key = launch.grid.name, signature(launch.arguments)
                    if key not in seen:
                        seen.add(key)
                        yield launch


def compiled(launch: Launch) -> Compiled:
    print(f"{launch.grid.name} …", file=sys.stderr, flush=True)
    texts = ptx(launch.grid, signature(launch.arguments), LIMITS)
    sizes = [a.itemsize for a in launch.arguments if isinstance(a, DeviceArray) and a.dtype.kind == "f"]
    return Compiled(launch, min(sizes, default=4), {c: assemble(text, c) for c, text in texts.items()})


# ---------------------------------------------------------------------- works


def product(work: Operation) -> tuple[str, int, Launch]:
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
