"""DeviceArray: an array in a GPU's memory with the shape, the views and the manners of a NumPy array.

Shape, strides and views are NumPy's own: ``layout`` is a NumPy array that describes the memory, at the address on the GPU.
Only its description is ever looked at, its elements cannot be reached from here. (In the simulator the memory is the
host's.) Slices and reshapes share memory and keep it alive; arithmetic is left to kernels and to ``numpy.asarray(a)``,
which copies to the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class DeviceArray:
    """An array on the GPU. Made by ``empty``, ``from_host`` or ``wrap``; a part of another one by indexing it.

    Attributes:
        base: the array that this one is a view of, or None.
        shape, dtype, size, ndim, nbytes, itemsize, strides, flags: as NumPy's.
    """

    __slots__ = ("__weakref__", "_address", "_handle", "_memory", "base", "layout")

    def __init__(self, layout: Any, memory: Any, base: DeviceArray | None = None) -> None:
        self.layout = layout
        self._memory = memory  # what frees it when it goes
        self.base = base
        self._address: int | None = None
        self._handle: Any = None

    # ------------------------------------------------------------------ where they come from

    @classmethod
    def empty(cls, shape: Any, dtype: Any) -> DeviceArray:
        """A new array, not written to."""
        from .device import module, simulated

        _look_everywhere()
        dtype = np.dtype(dtype)
        if simulated():
            return cls(np.empty(shape, dtype), None)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        memory = module().device_array(shape or (1,), dtype)
        return cls(_layout(_address_of(memory), shape, dtype), memory)

    @classmethod
    def from_host(cls, array: Any) -> DeviceArray:
        """A copy of a NumPy array."""
        array = np.asarray(array)
        copy = cls.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    @classmethod
    def wrap(cls, array: Any) -> DeviceArray:
        """An array of another library that offers ``__cuda_array_interface__``, without a copy; it is kept alive."""
        from .device import module, simulated

        _look_everywhere()
        about = array.__cuda_array_interface__
        if about.get("mask") is not None:
            raise TypeError("masked arrays are not taken, fill the gaps first")
        if not simulated():
            module().as_cuda_array(array)  # waits until its stream is done with it
        address, readonly = about["data"]
        return cls(_layout(address, about["shape"], np.dtype(about["typestr"]), about.get("strides"), readonly), array)

    # ------------------------------------------------------------------ what it is

    shape = property(lambda self: self.layout.shape)
    dtype = property(lambda self: self.layout.dtype)
    size = property(lambda self: self.layout.size)
    ndim = property(lambda self: self.layout.ndim)
    nbytes = property(lambda self: self.layout.nbytes)
    itemsize = property(lambda self: self.layout.itemsize)
    strides = property(lambda self: self.layout.strides)
    flags = property(lambda self: self.layout.flags)

    @property
    def address(self) -> int:
        if self._address is None:
            self._address = int(self.layout.__array_interface__["data"][0])
        return self._address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        about = self.layout.__array_interface__
        strides = None if self.flags.c_contiguous else self.strides
        return {
            "shape": self.shape, "typestr": about["typestr"], "data": about["data"], "strides": strides, "version": 3,
            "stream": 1,
        }  # fmt: skip

    @property
    def handle(self) -> Any:
        """The array as a launch takes it: what kind of array it is, and the numbers that describe it to the device's code.

        In the simulator, the memory.
        """
        if self._handle is None:
            self._handle = _handle(self)
        return self._handle

    def __len__(self) -> int:
        return len(self.layout)

    def __repr__(self) -> str:
        return f"DeviceArray({np.asarray(self)!r})"

    # ------------------------------------------------------------------ views

    def __getitem__(self, index: Any) -> DeviceArray:
        """A view; with an array of indices along the first axis, those rows as a new array."""
        if isinstance(index, (np.ndarray, list, DeviceArray)):
            return self._rows(index)
        index = index if isinstance(index, tuple) else (index,)
        whole = any(i is Ellipsis for i in index)
        return self._view(self.layout[index if whole else (*index, ...)])  # with an ellipsis an element is a view too

    def reshape(self, *shape: Any) -> DeviceArray:
        """A view of another shape; ValueError for an array whose elements do not lie side by side."""
        if not self.flags.c_contiguous:
            raise ValueError(f"only contiguous device arrays are reshaped, got strides {self.strides}")
        return self._view(self.layout.reshape(*shape))

    def ravel(self) -> DeviceArray:
        """All elements as one row; a copy if they do not lie side by side."""
        return self.contiguous().reshape(-1)

    def _view(self, layout: Any) -> DeviceArray:
        return DeviceArray(layout, self._memory, self if self.base is None else self.base)

    def _rows(self, index: Any) -> DeviceArray:
        from ..elementwise import take_rows

        order = index if isinstance(index, DeviceArray) else DeviceArray.from_host(np.asarray(index, np.int64))
        rows = DeviceArray.empty((order.size, *self.shape[1:]), self.dtype)
        if rows.size:
            flat = rows.reshape(order.size, -1), self.contiguous().reshape(len(self), -1)
            take_rows(*flat, order, DeviceArray.from_host(np.zeros(1, np.int64)))
        return rows

    def span(self) -> DeviceArray:
        """All memory from the first to the last element as one row; ValueError for strides that lead back."""
        if min(self.strides, default=0) < 0:
            raise ValueError(f"a device array with negative strides {self.strides} is not copied")
        extent = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)) // self.itemsize + 1
        return DeviceArray(_layout(self.address, (extent,), self.dtype), self._memory, self)

    # ------------------------------------------------------------------ copies

    def copy(self) -> DeviceArray:
        """A contiguous copy on the GPU."""
        return self.astype(self.dtype)

    def astype(self, dtype: Any) -> DeviceArray:
        """A contiguous copy in another dtype."""
        copy = DeviceArray.empty(self.shape, dtype)
        copy[...] = self
        return copy

    def contiguous(self) -> DeviceArray:
        """The array itself if its elements lie side by side and may be written, else a copy of which that is true."""
        return self if self.flags.carray else self.copy()

    def fill(self, value: Any) -> None:
        """Set all elements to a number."""
        self[...] = value

    def item(self) -> Any:
        """The one element, as a Python number."""
        return np.asarray(self).item()

    __float__ = item

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """A copy on the host."""
        if copy is False:
            raise ValueError("a device array cannot become a NumPy array without a copy")
        host = _to_host(self)
        return host if dtype is None else host.astype(dtype, copy=False)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write a number, or an array of the host or the device, into a part."""
        part = self if index is Ellipsis else self[index]
        if not part.size:
            return
        if np.ndim(value) == 0 and part.flags.carray and not isinstance(value, DeviceArray):
            from ..elementwise import fill

            fill(part, part.dtype.type(value).item())
        elif isinstance(value, DeviceArray) or not part.flags.carray:
            from .strided import copy_any

            copy_any(part, value if isinstance(value, DeviceArray) else DeviceArray.from_host(value))
        else:
            _write(part, np.ascontiguousarray(np.broadcast_to(value, part.shape), part.dtype))

    def __reduce__(self) -> Any:
        """Pickled as a host array: it becomes one on the GPU of whoever reads it."""
        return DeviceArray.from_host, (np.asarray(self),)

    def __deepcopy__(self, memo: Any) -> DeviceArray:
        return self.copy()


def _look_everywhere() -> None:
    from ..kernel import look_everywhere

    look_everywhere()


class _Memory:
    """Memory at an address, described to NumPy."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.__array_interface__ = about


def _layout(address: int, shape: Any, dtype: Any, strides: Any = None, readonly: bool = False) -> Any:
    about = {"shape": shape, "typestr": dtype.str, "data": (address or 0, readonly), "strides": strides, "version": 3}
    return np.asarray(_Memory(about))


def _address_of(memory: Any) -> int:
    return int(memory.__cuda_array_interface__["data"][0] or 0)


def _handle(array: DeviceArray) -> Any:
    from .device import simulated, simulated_array

    layout = array.layout
    if simulated():
        return simulated_array(layout)
    kind = layout.dtype.char, layout.ndim, layout.flags.c_contiguous
    return kind, (0, 0, layout.size, layout.itemsize, array.address, *layout.shape, *layout.strides)


def _write(part: DeviceArray, host: Any) -> None:
    from .device import simulated

    if simulated():
        part.layout[...] = host
        return
    from .driver import from_host

    from_host(part.address, host)


def _copied(row: DeviceArray) -> Any:
    from .device import simulated

    if simulated():
        return row.layout
    from .driver import to_host

    host = np.empty(row.shape, row.dtype)
    to_host(host, row.address)
    return host


def _to_host(array: DeviceArray) -> Any:
    """All memory from the first to the last element is copied, and read there under the same strides."""
    if not array.size:
        return np.empty(array.shape, array.dtype)
    data = _copied(array.span())
    return np.ndarray(array.shape, array.dtype, data, strides=array.strides).copy()
