"""Layers and losses on a GPU: all that differs from the host is here.

``net.to("cuda")`` moves every array of every layer, and mixes ``OnDevice`` into the layer's class. What a layer computes stays
its own: its results are made where it works, its inputs are brought there, and the kernels look at the arrays they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from manualbp_kernels.cuda import DeviceArray

from .parameter import address
from .types import Array, Shape
from .workspace import Workspace

PLACES = ("cpu", "cuda")


def to_device(x: Any) -> Any:
    """``x`` on the GPU: a copy of a host array; another library's device array (CuPy's, PyTorch's) as it lies, without one."""
    if isinstance(x, DeviceArray):
        return x
    if hasattr(x, "__cuda_array_interface__"):
        return DeviceArray.wrap(x)
    return DeviceArray.from_host(np.asarray(x, order="C"))


class OnDevice(Workspace):
    """Mixed into the class of a layer or loss whose arrays lie on the GPU.

    Attributes:
        host: the class without it.
        relu: the ReLU that the container will give this layer's output to; see ``manualbp_kernels/cuda/ahead.py``.
    """

    host: ClassVar[type]
    relu: Any = None

    @staticmethod
    def allocate(shape: Shape, dtype: Any) -> Any:
        return DeviceArray.empty(shape, dtype)

    def here(self, x: Any) -> Any:
        return to_device(x).contiguous()

    follow = here

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.follows and isinstance(args[0], np.ndarray):
            move(self, "cpu")
            return self.forward(*args, **kwargs)  # the host's
        if self.relu is None:
            return super().forward(*self._all_here(args), **kwargs)  # type: ignore[misc]
        from manualbp_kernels.cuda.ahead import relu_follows

        with relu_follows(lambda y: self.relu.empty("y", y.shape, y.dtype)):
            return super().forward(*self._all_here(args), **kwargs)  # type: ignore[misc]

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        return super().backward(*self._all_here(args), **kwargs)  # type: ignore[misc]

    def backward_weights(self, *args: Any) -> None:
        super().backward_weights(*self._all_here(args))  # type: ignore[misc]

    def _all_here(self, args: tuple[Any, ...]) -> Iterator[Any]:
        """Arrays brought to the GPU, those in tuples too; whatever else is left for the layer to judge."""
        for x in args:
            if isinstance(x, tuple):
                yield tuple(self._all_here(x))
            else:
                yield self.here(x) if _is_numbers(x) else x

    def __reduce__(self) -> Any:
        return _revive, (self.host,), self.__getstate__()


def _is_numbers(x: Any) -> bool:
    if isinstance(x, DeviceArray):
        return True
    if isinstance(x, np.ndarray):
        return type(x) is np.ndarray and x.dtype.kind in "fiu"
    return hasattr(x, "__cuda_array_interface__")


class SequentialOnDevice(OnDevice):
    """A Sequential, which knows where a ReLU follows: the product before it then computes both."""

    layers: tuple[Any, ...]

    def forward(self, x: Any) -> Any:
        from manualbp_kernels.cuda import ahead

        pairs = [(one, other) for one, other in pairwise(self.layers) if _fuse(one, other)]
        for product, relu in pairs:
            product.relu = relu
        try:
            return super().forward(x)
        finally:
            ahead.forget()
            for product, _ in pairs:
                product.relu = None


def _fuse(one: Any, other: Any) -> bool:
    from .layers import Conv2d, Linear, ReLU

    return getattr(one, "host", None) in (Conv2d, Linear) and getattr(other, "host", None) is ReLU


@cache
def _on_device(host: type) -> type:
    from .sequential import Sequential

    kind = SequentialOnDevice if issubclass(host, Sequential) else OnDevice
    return type(host.__name__, (kind, host), {"host": host, "__doc__": host.__doc__, "__module__": host.__module__})


def _revive(host: type) -> Any:
    """What pickle begins with: an object of a class that has no name of its own."""
    return object.__new__(_on_device(host))


# ---------------------------------------------------------------------- moving


def follow(thing: Workspace, x: Any) -> Any:
    """Let a loss, or a layer without parameters, work where its input lies; RuntimeError for a layer with some."""
    if getattr(thing, "weights", ()) or [*getattr(thing, "named_children", tuple)()]:
        raise RuntimeError(f"{thing} is on the host and x on the GPU: move one to the other, net.to('cuda') or np.asarray(x)")
    move(thing, "cuda")
    thing.follows = True
    return thing.follow(x)


def move(thing: Workspace, place: str) -> None:
    """Move a layer and all inside, or a loss, to "cuda" or "cpu". Optimizers go with the parameters they hold.

    What a step in progress has cached is dropped. RuntimeError if there is no GPU, with nothing changed.
    """
    from .optim import follow_parameters

    if place not in PLACES:
        raise ValueError(f"to: the place must be 'cpu' or 'cuda', got {place!r}")
    moved = _Moved(place)
    for each in [*thing.modules()] if hasattr(thing, "modules") else [thing]:
        arrays = {name: moved(value) for name, value in vars(each).items() if _moves(value)}
        _set_class(each, place)
        vars(each).update(arrays, _buffers={}, cache=None, follows=False)
        each.forget()
    follow_parameters(moved.arrays)


def _moves(value: Any) -> bool:
    """Whether an attribute is an array; constants (read-only) stay, copies of them are made to measure."""
    return isinstance(value, (np.ndarray, DeviceArray)) and bool(value.flags.writeable)


def _set_class(thing: Workspace, place: str) -> None:
    host = thing.host if isinstance(thing, OnDevice) else type(thing)
    thing.__class__ = _on_device(host) if place == "cuda" else host


class _Moved:
    """Arrays and where they went. Views of one array become views of one array: parameters side by side stay so."""

    def __init__(self, place: str) -> None:
        self.kind: type = DeviceArray if place == "cuda" else np.ndarray
        self.arrays: dict[int, tuple[Array, Array]] = {}  # by id: the array, kept so that the id stays its own, and the new one

    def __call__(self, array: Any) -> Any:
        if isinstance(array, self.kind):
            return array
        if id(array) not in self.arrays:
            whole = array.base if type(array.base) is type(array) else None
            new = self._copy(array) if whole is None else self._part(array, whole)
            self.arrays[id(array)] = array, new
        return self.arrays[id(array)][1]

    def _copy(self, array: Any) -> Any:
        return to_device(array) if self.kind is DeviceArray else np.array(array)

    def _part(self, array: Any, whole: Any) -> Any:
        begin = (address(array) - address(whole)) // array.itemsize
        return self(whole).reshape(-1)[begin : begin + array.size].reshape(array.shape)
