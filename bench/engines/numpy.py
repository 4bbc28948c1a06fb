"""NumPy: its BLAS, and the functions it has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..works import Array, Operation
from . import Running, Unable


def operation(work: Operation) -> Running:
    function = OPERATIONS.get(work.call)
    if function is None:
        raise Unable(f"NumPy has no {work.call}")
    inputs = tuple(work.inputs().values())
    output: Array = function(*inputs)
    return Running(lambda: function(*inputs, out=output), lambda: {"output": output})


OPERATIONS: dict[str, Callable[..., Array]] = {
    "matmul": np.matmul,
    "add": np.add,
    "relu": lambda x, out=None: np.maximum(x, 0, out=out),
    "tanh": np.tanh,
}
