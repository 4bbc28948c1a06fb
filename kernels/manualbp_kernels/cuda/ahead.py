"""A ReLU that follows a product is computed with it, while the sums are still in registers: a launch and a reading less.

Who knows what follows, the container of the layers, says so with ``relu_follows``; a product that can do so then writes both
arrays, and ``relu``, called right after it as always, finds its work done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..relu import relu, relu_scalar
from .device import DeviceFunction
from .pointwise import pointwise

Place = Callable[[Any], Any]  # a product's output → where its ReLU shall lie


class _Known(threading.local):
    """What each Python thread knows.

    Attributes:
        place: where the ReLU that follows is to lie.
        done: the addresses of output and input of a ReLU that was computed ahead.
    """

    place: Place | None = None
    done: tuple[int, int] | None = None


_known = _Known()


@contextmanager
def relu_follows(place: Place) -> Iterator[None]:
    """What the first product inside writes goes through ReLU next, and nobody touches it in between."""
    _known.place, _known.done = place, None
    try:
        yield
    finally:
        _known.place = None


def forget() -> None:
    """What was computed ahead and not asked for is not to be found later."""
    _known.done = None


def rectified(y: Any) -> Any:
    """For a product that writes y: where ReLU(y) is to be written too, or None."""
    place, _known.place = _known.place, None
    if place is None:
        return None
    z = place(y)
    _known.done = z.address, y.address
    return z


relu_of = DeviceFunction(relu_scalar)  # what a thread calls

_relu = pointwise(relu_scalar, 1, "relu")


@relu.cuda
def relu_cuda(y, x):
    if _known.done is None or (y.address, x.address) != _known.done:
        _relu(y, x)
    _known.done = None
