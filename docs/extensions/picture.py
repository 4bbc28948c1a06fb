"""Pictures that programs draw: a figure of matplotlib as SVG that stands in a page and takes its colours and its font."""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

INK = "#010203"  # what has no colour of its own; in the page it becomes that of the text
COLOURS = ["#3b7dd8", "#d9483b", "#2f9e5f", "#c77700", "#9a5fd0"]  # each is legible on white and on black
STYLE = {
    "figure.figsize": (4.6, 3.0), "figure.constrained_layout.use": True, "savefig.transparent": True,
    "svg.fonttype": "none", "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "legend.fontsize": 9,
    "legend.title_fontsize": 9, "legend.frameon": False, "lines.markersize": 3.5, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.5,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK),
}  # fmt: skip


@cache
def load(path: Path) -> ModuleType:
    """The program in a file, run once; it may import its neighbours."""
    spec = spec_from_file_location(f"program_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    program = module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(program)
    finally:
        sys.path.remove(str(path.parent))
    return program


def svg(draw: Callable[[], Any], name: str) -> str:
    """The figure that ``draw`` returns. The same figure gives the same text; a warning is an error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    file = io.StringIO()
    with warnings.catch_warnings(), plt.rc_context({**STYLE, "svg.hashsalt": name}):
        warnings.simplefilter("error")
        plt.rcParams["axes.prop_cycle"] = plt.cycler(color=COLOURS)
        figure = draw()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return inline(file.getvalue(), name)


def inline(text: str, name: str) -> str:
    """The SVG without what is for a file of its own: prologue, styles for a whole document, size, names that are not unique."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style).*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="\S+" height="\S+"', r"\1", text.replace("\n", " "), count=1)
    text = re.sub(r'\bid="|href="#|url\(#', rf"\g<0>{name}-", text)
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag[0]), text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "sans-serif", text)
    return text.replace(INK, "currentColor")
