"""Names for what is passed around."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DTypeLike = npt.DTypeLike
Shape = tuple[int, ...]
Form = tuple[Shape, Any]  # shape and dtype

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_array(x: Any) -> Array:
    """``x`` as a plain array; TypeError for a masked one, whose mask would be lost without a word."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("masked arrays are not taken, fill the gaps first: x.filled(0)")
    return np.asarray(x)


def float_dtype(dtype: DTypeLike) -> "np.dtype[Any]":
    """``dtype`` as float32 or float64; TypeError for any other."""
    chosen = np.dtype(dtype)
    if chosen not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {chosen}")
    return chosen
