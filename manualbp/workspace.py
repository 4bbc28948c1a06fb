"""Result arrays that are written again in the next step, unless somebody still holds them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .types import Array, Shape


class Workspace:
    """Hands out result arrays by name. A steady training step gets the same memory every time and no page faults."""

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def empty(self, name: str, shape: Shape, dtype: Any) -> Array:
        """An array to write a result into: last time's, if nobody holds it or a view of it any more, else a new one."""
        buffers = self._buffers
        if name in buffers and buffers[name].shape == shape and buffers[name].dtype == dtype:
            if sys.getrefcount(buffers[name]) == _UNSHARED:
                return buffers[name]
        fresh = buffers[name] = np.empty(shape, dtype)
        return fresh

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffers": {}}


def unshared(holder: dict[str, Any], name: str) -> bool:
    """Whether the dictionary is the only one to hold its entry: CPython's reference count says so."""
    return sys.getrefcount(holder[name]) == _UNSHARED


def _count_unshared() -> int:
    """What ``sys.getrefcount(holder[name])`` says when nobody else holds the entry."""
    holder = {"y": np.empty(0)}
    return sys.getrefcount(holder["y"])


_UNSHARED = _count_unshared()
