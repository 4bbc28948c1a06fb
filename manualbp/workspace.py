"""Result arrays that are written again in the next step, unless somebody still holds them."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from .types import Array, Shape


class Workspace:
    """Hands out result arrays by name. A steady training step gets the same memory every time and no page faults."""

    follows = False  # whether it works on the GPU only because its last input lay there

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def empty(self, name: str, shape: Shape, dtype: Any) -> Array:
        """An array to write a result into: last time's, if nobody holds it or a view of it any more, else a new one."""
        buffer = self._buffers.get(name)
        if buffer is not None and buffer.shape == shape and buffer.dtype == dtype:
            if getrefcount(buffer) == _UNSHARED_BUT_HERE:
                return buffer
        fresh = self._buffers[name] = self.allocate(shape, dtype)
        return fresh

    @staticmethod
    def allocate(shape: Shape, dtype: Any) -> Array:
        """A new array where this object works, not written to."""
        return np.empty(shape, dtype)

    def here(self, x: Array) -> Array:
        """``x`` where this object works, copied if it lies elsewhere."""
        return np.asarray(x)

    def follow(self, x: Array) -> Array:
        """``x`` where it lies, if this object can go there; see ``device.py``."""
        if isinstance(x, np.ndarray):
            return x
        from .device import follow

        array: Array = follow(self, x)
        return array

    def forget(self) -> None:
        """Drop what was made to measure for arrays that have moved."""

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
