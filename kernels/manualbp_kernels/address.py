"""Where an array lies. NumPy's own ways to say so describe all of the array, which takes ten times as long."""

from __future__ import annotations

import ctypes
from typing import Any

_HEADER = object.__basicsize__
_word = ctypes.c_size_t.from_address


def address(a: Any) -> int:
    """The address of an array's first element, for as long as somebody holds the array."""
    return _word(id(a) + _HEADER).value


def array_object(a: Any) -> int:
    """Where an array's own words begin, in the order of NumPy's binary interface (``PyArrayObject_fields``).

    The address of its first element; the number of its axes, an int; the addresses of their lengths and of their strides;
    its base; its dtype.
    """
    return id(a) + _HEADER
