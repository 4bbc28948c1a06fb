"""What a training run shows: the confusion of classes as text, curves and misread images as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..training import History
from ..types import Array


def print_confusion(counts: Array) -> None:
    """Rows: the true class; columns: what the network said; a dot for none."""
    width = max(4, len(str(counts.max())) + 1)
    print("\ntrue \\ read" + "".join(f"{k:>{width}}" for k in range(len(counts))))
    for k, row in enumerate(counts):
        print(f"{k:>11}" + "".join(f"{count or '·':>{width}}" for count in row))
    print()


def save_picture(path: Path, history: History, x: Array, y: Array, prediction: Array, shown: int = 12) -> bool:
    """Draw the curves of loss and accuracy, and some misread images; False without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=(4, 1.2))
    curves, images = parts
    left, right = curves.subplots(1, 2)
    _curve(left, history, "loss", "cross-entropy")
    _curve(right, history, "accuracy", "accuracy")
    read = prediction.argmax(axis=1)
    wrong = np.flatnonzero(read != y)
    images.suptitle(f"{len(wrong)} of {len(y)} held-out images misread: true → read")
    for axes, i in zip(images.subplots(1, shown), [*wrong[:shown], *[None] * shown], strict=False):
        axes.set_axis_off()
        if i is not None:
            axes.imshow(x[i, 0], cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{y[i]} → {read[i]}", fontsize=11)
    figure.savefig(path, dpi=110)
    return True


def _curve(axes: Any, history: History, name: str, label: str) -> None:
    for key, text in ((name, "training"), (f"val_{name}", "held out")):
        values = [epoch[key] for epoch in history.epochs if key in epoch]
        axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=text)
    axes.set(xlabel="epoch", ylabel=label)
    axes.grid(alpha=0.3)
    axes.legend()
