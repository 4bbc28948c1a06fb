"""From the formula of one element to the grid over all of them, as ``cpu/pointwise.py`` makes the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .device import cover, cuda, device_function, grid
from .reduce import block_sum, with_sum

LOOP = """
def loop({arguments}):
    for index in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[index] = f({elements})
"""

LOOP_WITH_SUM = """
def loop(totals, {arguments}):
    total = np.float64(0)
    for index in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[index] = element = f({elements})
        total += element
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        totals[cuda.blockIdx.x] = total
"""


def pointwise(scalar: Callable[..., Any], arrays: int, name: str) -> Callable[..., None]:
    """``out[i] = scalar(a[i], b[i], …, *constants)`` over contiguous arrays of one shape, in one launch.

    Of the scalar's parameters the first ``arrays`` are elements, the rest constants.
    """
    loop = _grid(LOOP, scalar, arrays, name)

    def launch(out: Any, *inputs: Any) -> None:
        loop[cover(out.size)](out.reshape(-1), *(a.reshape(-1) for a in inputs[:arrays]), *inputs[arrays:])

    return launch


def pointwise_sum(scalar: Callable[..., Any], arrays: int, name: str) -> Callable[..., None]:
    """As ``pointwise``, with the sum of all elements in float64, ``s[0] = Σ out[i]``: see ``with_sum``."""
    loop = _grid(LOOP_WITH_SUM, scalar, arrays, name)

    def launch(out: Any, s: Any, *inputs: Any) -> None:
        rows = (a.reshape(-1) for a in inputs[:arrays])
        with_sum(loop, s, out.size, out.reshape(-1), *rows, *inputs[arrays:])

    return launch


def _grid(source: str, scalar: Callable[..., Any], arrays: int, name: str) -> Any:
    code = scalar.__code__
    names = code.co_varnames[: code.co_argcount]
    text = source.format(
        arguments=", ".join(("out", *names)),
        elements=", ".join((*(f"{array}[index]" for array in names[:arrays]), *names[arrays:])),
    )
    space: dict[str, Any] = {"__name__": __name__, "f": device_function(scalar), "cuda": cuda, "np": np, "block_sum": block_sum}
    exec(text, space)
    return grid(space["loop"], name=name)
