"""Names for what is passed around."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DTypeLike = npt.DTypeLike
Shape = tuple[int, ...]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def float_dtype(dtype: DTypeLike) -> "np.dtype[Any]":
    """``dtype`` as float32 or float64; TypeError for any other."""
    chosen = np.dtype(dtype)
    if chosen not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {chosen}")
    return chosen
