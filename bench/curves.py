"""Times against sizes: which works lie on a curve, and its picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from .engines import TITLES
from .units import duration
from .works import GRU, LSTM, TrainingStep, Work, cnn, matmul, mlp, recurrent

ENGINES = ("manualbp", "torch", "jax")
COLOURS = {"manualbp": "#c8102e", "torch": "#3b6fb6", "jax": "#3f8f5f"}


class Curve(NamedTuple):
    """The time of ``works[x]`` against x. ``threads``: x is the number of threads, and the work always the same."""

    name: str
    title: str
    axis: str
    works: dict[int, Work]
    threads: bool = False


def threads_up_to(cores: int) -> list[int]:
    """1, 2, 4, … and all."""
    return sorted({min(2**i, cores) for i in range(cores.bit_length() + 1)})


def curves(cores: int) -> tuple[Curve, ...]:
    def by_threads(work: Work) -> Curve:
        return Curve(f"threads-{work.name}", work.title, "threads", dict.fromkeys(threads_up_to(cores), work), True)

    return (
        Curve("mlp-batch", "MLP 784-128-10", "batch", {n: mlp(n) for n in (1, 4, 16, 64, 256, 1024)}),
        Curve("mlp-width", "MLP 784-width-10, batch 64", "width", {w: mlp(64, w) for w in (16, 64, 256, 1024, 4096)}),
        Curve("cnn-batch", "CNN 28×28", "batch", {n: cnn(n) for n in (1, 4, 16, 64, 256)}),
        Curve("cnn-side", "CNN, batch 32", "side of the image", {s: cnn(32, s) for s in (8, 16, 32, 64)}),
        Curve("lstm-length", "LSTM 28→128, batch 64", "steps", {t: recurrent(LSTM, 64, t) for t in (1, 4, 16, 64, 256)}),
        Curve("gru-batch", "GRU 28→128 over 28 steps", "batch", {n: recurrent(GRU, n) for n in (1, 4, 16, 64, 256)}),
        by_threads(matmul(1024)),
        by_threads(mlp(256)),
        by_threads(cnn(32)),
    )


def draw(curve: Curve, times: dict[str, dict[int, float]], path: Path) -> None:
    """``times``: per engine the seconds at each x. The same numbers give the same file, byte for byte."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    settings = {"svg.hashsalt": "manualbp", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
                "axes.spines.right": False}  # fmt: skip
    with plt.rc_context(settings):
        figure, axes = plt.subplots(figsize=(4.4, 2.8), layout="constrained")
        for engine, points in times.items():
            width = 2.2 if engine == "manualbp" else 1.4
            axes.plot(list(points), list(points.values()), "o-", color=COLOURS[engine], linewidth=width, markersize=3)
        axes.set(xscale="log", yscale="log", xlabel=curve.axis, title=f"{curve.title}: time of a {noun(curve)}")
        axes.set_xticks(list(curve.works), map(str, curve.works))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades(times) > 1.5 else (1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda seconds, _: duration(seconds))
        axes.minorticks_off()
        axes.grid(axis="y", linewidth=0.4, alpha=0.5)
        label(axes, times)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def noun(curve: Curve) -> str:
    return "step" if isinstance(next(iter(curve.works.values())), TrainingStep) else "product"


def decades(times: dict[str, dict[int, float]]) -> float:
    seconds = [value for points in times.values() for value in points.values()]
    return math.log10(max(seconds) / min(seconds))


def label(axes: Any, times: dict[str, dict[int, float]]) -> None:
    """The engines' names at the ends of their lines, moved apart where they would touch."""
    gap, at = 0.09, -math.inf
    ends = sorted((height(axes, list(points.values())[-1]), engine) for engine, points in times.items())
    ceiling = 1.0 - gap * (len(ends) - 1)
    for end, engine in ends:
        at = max(min(end, ceiling), at + gap)
        ceiling += gap
        axes.text(1.01, at, TITLES[engine], transform=axes.transAxes, va="center", color=COLOURS[engine])


def height(axes: Any, value: float) -> float:
    """Where a value lies on a logarithmic axis, from 0 at its bottom to 1 at its top."""
    low, high = axes.get_ylim()
    return math.log(value / low) / math.log(high / low)
