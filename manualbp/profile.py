"""A program as a table: each kernel call with its formula, shapes, operations, bytes, and the time it takes."""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from manualbp_kernels.cpu.replay import Call, Tape

if TYPE_CHECKING:
    from .inference import Inference
    from .program import Program

RUNS = 21
LEAST = 1e-4  # seconds that a measurement lasts, for the clock to be fine enough


def operations(call: Call) -> int:
    """Multiplications and additions: two for each term of a product's sums; elsewhere one per element of the largest array."""
    return int(_operations(call.kernel.name, call.arguments))


def _operations(name: str, a: tuple[Any, ...]) -> Any:
    if name.startswith("matmul_"):
        return 2 * a[0].size * a[1].shape[0 if name == "matmul_tn" else -1]
    if name == "linear":
        return 2 * a[0].size * a[1].shape[-1]
    if name == "linear_backward_weights":
        return 2 * a[3].size * a[2].shape[-1]
    if name == "conv2d":
        return 2 * a[0].size * math.prod(a[2].shape[1:])
    if name in ("conv2d_input_gradient", "conv2d_weight_gradient"):
        dy, weights = (a[1], a[2]) if name == "conv2d_input_gradient" else (a[2], a[0])
        return 2 * dy.size * math.prod(weights.shape[1:])
    if name == "conv2d_backward_weights":
        return 2 * a[3].size * math.prod(a[0].shape[1:])
    return max((x.size for x in a if isinstance(x, np.ndarray)), default=0)


def moved(call: Call) -> int:
    """Bytes of all arrays of the call, each counted once."""
    return sum(x.nbytes for x in call.arguments if isinstance(x, np.ndarray))


def listing(program: Program | Inference) -> str:
    """The step as a table, a line for each call."""
    rows: list[tuple[str, ...]] = [("", "kernel", "formula", "shapes", "operations", "bytes")]
    rows += [(str(k), *_words(call)) for k, call in enumerate(program.calls)]
    total = f"{sum(map(operations, program.calls)):,}", f"{sum(map(moved, program.calls)):,}"
    return _columns([*rows, ("", "", "", "", *total)])


def _words(call: Call) -> tuple[str, ...]:
    formula = (call.kernel.__doc__ or "").partition("\n")[0]
    shapes = "  ".join(
        f"{name} {'×'.join(map(str, x.shape)) or '1'}" if isinstance(x, np.ndarray) else f"{name}={x}"
        for name, x in zip(call.kernel.parameters, call.arguments, strict=False)
        if isinstance(x, (np.ndarray, bool, int, float))
    )
    return call.kernel.name, formula, shapes, f"{operations(call):,}", f"{moved(call):,}"


def _columns(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = len(widths) - 2
    lines = [
        "  ".join(
            f"{text:>{w}}" if i >= numbers else f"{text:<{w}}" for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


class Profile:
    """How long each call of a step takes, measured by itself.

    Attributes:
        names: the kernels. seconds: of each call, the median of several measurements.
    """

    def __init__(self, program: Program) -> None:
        self.names = [call.kernel.name for call in program.calls]
        self.seconds = [_time(call) for call in program.calls]

    @property
    def shares(self) -> list[float]:
        """Of each call, the part of the sum of all."""
        return [s / sum(self.seconds) for s in self.seconds]

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "kernel", "µs", "share")]
        for k, (name, seconds, share) in enumerate(zip(self.names, self.seconds, self.shares, strict=True)):
            rows.append((f"{k} {name}", "▇" * round(40 * share), f"{1e6 * seconds:.3f}", f"{share:.1%}"))
        return _columns([*rows, ("", "", f"{1e6 * sum(self.seconds):.3f}", "")])

    def plot(self, path: str | Path) -> None:
        """Write the shares as a picture; ImportError if matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("a picture of a profile needs matplotlib: pip install manualbp[plot]") from None
        figure = Figure(figsize=(8, 1 + 0.3 * len(self.names)), layout="constrained")
        axes: Any = figure.subplots()
        axes.barh([f"{k} {name}" for k, name in enumerate(self.names)], [1e6 * s for s in self.seconds])
        axes.invert_yaxis()
        axes.set_xlabel("µs")
        figure.savefig(path)


def _time(call: Call) -> float:
    """Seconds of one call: median of RUNS measurements, each of as many calls as it takes for the clock."""
    tape, rounds = Tape([call], np.zeros(1)), 1
    while (seconds := _elapsed(tape, rounds)) < LEAST:
        rounds *= 2
    return median([seconds, *(_elapsed(tape, rounds) for _ in range(RUNS - 1))]) / rounds


def _elapsed(tape: Tape, rounds: int) -> float:
    begin = time.perf_counter()
    tape.play(rounds)
    return time.perf_counter() - begin
