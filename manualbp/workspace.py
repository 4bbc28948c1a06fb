"""Result arrays that are written again in the next step, unless somebody still holds them."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from .types import Array, Shape


class Workspace:
    """Hands out result arrays by name. A steady training step gets the same memory every time and no page faults."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def empty(self, name: str, shape: Shape, dtype: Any) -> Array:
        """An array to write a result into: last time's, if nobody holds it or a view of it any more, else a new one."""
        buffer = self._buffers.get(name)
        if buffer is not None and buffer.shape == shape and buffer.dtype == dtype:
            if getrefcount(buffer) == _UNSHARED_BUT_HERE:
                return buffer
        fresh = self._buffers[name] = np.empty(shape, dtype)
        return fresh

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffers": {}}


def unshared(holder: dict[str, Any], name: str) -> bool:
    """Whether the dictionary is the only one to hold its entry: CPython's reference count says so."""
    return getrefcount(holder[name]) == _UNSHARED


def _counts() -> tuple[int, int]:
    """What ``sys.getrefcount`` says of an entry that nobody else holds: asked by its key, and by a variable."""
    holder = {"y": np.empty(0)}
    by_key = getrefcount(holder["y"])
    entry = holder["y"]
    return by_key, getrefcount(entry)


_UNSHARED, _UNSHARED_BUT_HERE = _counts()
