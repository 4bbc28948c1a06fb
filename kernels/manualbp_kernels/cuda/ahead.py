"""A ReLU that follows a product is computed with it, while the sums are still in registers: a launch and a reading less.

Who knows what follows, the container of the layers, says so with ``relu_follows``; a product that can do so then writes both
arrays, and ``relu``, called right after it as always, finds its work done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..relu import relu, relu_scalar
from .device import DeviceFunction
from .pointwise import pointwise

Place = Callable[[Any], Any]  # a product's output → where its ReLU shall lie

_place: list[Place] = []
_done: list[tuple[int, int]] = []  # addresses of relu's output and input


@contextmanager
def relu_follows(place: Place) -> Iterator[None]:
    """What the first product inside writes goes through ReLU next, and nobody touches it in between."""
    _place[:], _done[:] = [place], []
    try:
        yield
    finally:
        _place.clear()


def forget() -> None:
    """What was computed ahead and not asked for is not to be found later."""
    _done.clear()


def rectified(y: Any) -> Any:
    """For a product that writes y: where ReLU(y) is to be written too, or None."""
    if not _place:
        return None
    z = _place.pop()(y)
    _done.append((z.address, y.address))
    return z


relu_of = DeviceFunction(relu_scalar)  # what a thread calls

_relu = pointwise(relu_scalar, 1, "relu")


@relu.cuda
def relu_cuda(y, x):
    if not _done or (y.address, x.address) not in _done:
        _relu(y, x)
    _done.clear()
