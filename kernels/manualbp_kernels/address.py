"""Where an array lies. NumPy's own ways to say so describe all of the array, which takes ten times as long."""

from __future__ import annotations

import ctypes
from typing import Any

_HEADER = object.__basicsize__  # the place of the elements comes first after it: so NumPy's binary interface has it
_word = ctypes.c_size_t.from_address


def address(a: Any) -> int:
    """The address of an array's first element, for as long as somebody holds the array."""
    return _word(id(a) + _HEADER).value
