"""Copies between arrays whose elements do not lie side by side: parts of others, or other libraries' arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import cover, cuda, grid

AXES = 6  # the most that a copied array may have


@grid
def copy_strided(y, x, size, shape, y_strides, x_strides):
    """y and x are memory from the first element on; strides count elements."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        rest, at_y, at_x = i, 0, 0
        for k in range(AXES):
            axis = AXES - 1 - k
            at = rest % shape[axis]
            rest //= shape[axis]
            at_y += at * y_strides[axis]
            at_x += at * x_strides[axis]
        y[at_y] = x[at_x]


def copy_any(y: Any, x: Any) -> None:
    """y = x for device arrays of any strides and dtypes; x is broadcast to y's shape."""
    source = np.broadcast_to(x.layout, y.shape)
    if y.ndim > AXES:
        raise ValueError(f"device arrays of more than {AXES} axes are not copied, got shape {y.shape}")
    if min((*y.strides, *source.strides), default=0) < 0:
        raise ValueError("device arrays with negative strides are not copied")
    missing = AXES - y.ndim
    shape = (1,) * missing + y.shape
    y_strides = (0,) * missing + _in_elements(y.layout)
    x_strides = (0,) * missing + _in_elements(source)
    copy_strided[cover(y.size)](y.span(), x.span(), y.size, shape, y_strides, x_strides)


def _in_elements(layout: Any) -> tuple[int, ...]:
    if any(stride % layout.itemsize for stride in layout.strides):
        raise ValueError(f"strides {layout.strides} are no multiples of an element's {layout.itemsize} bytes")
    return tuple(stride // layout.itemsize for stride in layout.strides)
