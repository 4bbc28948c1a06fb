"""summary: what a network is made of, and what a batch costs in memory."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from .layer import Layer
from .layers import Linear
from .layers.recurrent import Recurrent
from .types import Array, Shape

if TYPE_CHECKING:
    from .sequential import Sequential


def summary(net: Sequential, shape: Shape | None = None) -> str:
    """A table with a row per layer: name, output shape, number of parameters, bytes cached for backward.

    Args:
        shape: of an input with its batch axis, such as (1, 1, 28, 28). A network that begins with a Linear or a
            recurrent layer needs none: a batch of one is taken.

    The network is copied and run once on zeros; it is left alone.
    """
    shape = shape or _guess(net)
    rows = [("layer", "output", "parameters", "cache")]
    trial = copy.deepcopy(net).train()
    x = None if shape is None else np.zeros(shape, next((m.dtype for m in net.modules() if m.dtype), np.float32))
    total = cached = 0
    for i, layer in enumerate(trial.layers):
        x = None if x is None else layer(x)
        parameters, memory = sum(p.value.size for p in layer.parameters()), _cache_bytes(layer)
        total, cached = total + parameters, cached + memory
        rows.append((f"{i}: {_name(layer)}", "?" if x is None else str(x.shape), f"{parameters:,}", _bytes(memory, x)))
    rows.append(("", "", f"{total:,}", _bytes(cached, x)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows]
    rule = "-" * (sum(widths) + 6)
    note = "" if shape else "\ngive summary an input shape, such as (1, 1, 28, 28), to see outputs and caches"
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]]) + note


def _guess(net: Layer) -> Shape | None:
    for layer in net.modules():
        if isinstance(layer, Linear):
            return 1, layer.in_features
        if isinstance(layer, Recurrent):
            return 1, 1, layer.input_size
        if layer.dtype is not None:
            return None
    return None


def _cache_bytes(layer: Layer) -> int:
    """Bytes of all arrays kept for backward, one that several layers keep counted for each."""
    caches = (item for module in layer.modules() for item in module.cache or ())
    return sum(item.nbytes for item in caches if isinstance(item, np.ndarray))


def _name(layer: Layer) -> str:
    return f"Sequential of {len(layer.layers)}" if hasattr(layer, "layers") else repr(layer)


def _bytes(count: int, x: Array | None) -> str:
    return "?" if x is None else f"{count:,}"
