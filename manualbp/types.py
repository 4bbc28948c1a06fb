"""Names for what is passed around."""

from typing import Any

import numpy as np
import numpy.typing as npt

from manualbp_kernels.cuda import DeviceArray

Array = npt.NDArray[Any]
DTypeLike = npt.DTypeLike
Shape = tuple[int, ...]
Form = tuple[Shape, Any]  # shape and dtype

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_array(x: Any, dtype: DTypeLike | None = None) -> Array:
    """``x`` as a plain array of the host, or of the GPU if it lies there (then ``dtype`` is left to who asked).

    TypeError for a masked one, whose mask would be lost without a word.
    """
    if isinstance(x, DeviceArray):
        return x  # type: ignore[return-value]
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("masked arrays are not taken, fill the gaps first: x.filled(0)")
    if not isinstance(x, np.ndarray) and hasattr(x, "__cuda_array_interface__"):
        from .device import to_device

        array: Array = to_device(x)
        return array
    return np.asarray(x, dtype)


def contiguous(x: Array, dtype: DTypeLike) -> Array:
    """``x`` in C order and of a dtype, where it lies; copied only if it is not so."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x, dtype)
    return x if x.dtype == dtype and x.flags.carray else x.astype(dtype)


def beside(array: Array, shape: Shape, dtype: DTypeLike, value: float = 0.0) -> Array:
    """A new array filled with ``value``, where ``array`` lies."""
    new = np.full(shape, value, dtype)
    if isinstance(array, np.ndarray):
        return new
    from .device import to_device

    there: Array = to_device(new)
    return there


def float_dtype(dtype: DTypeLike) -> "np.dtype[Any]":
    """``dtype`` as float32 or float64; TypeError for any other."""
    chosen = np.dtype(dtype)
    if chosen not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {chosen}")
    return chosen
