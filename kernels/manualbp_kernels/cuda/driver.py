"""Loading, launching and copying by the driver's own C functions, with no Python of Numba's in between.

Numba compiles; but its launch asks each argument anew what it is, which for a small network takes ten times as long as what
the driver does. Here a function is loaded for arguments of certain kinds, and a launch only writes down their values.

Source: NVIDIA, CUDA Driver API, "Module Management", "Execution Control" and "Memory Management".
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

from .device import module

Dimensions = tuple[int, int, int]

SLOT = 8  # bytes for each value of an argument; shorter ones are followed by zeros
FORMATS: dict[type, str] = {  # of the kinds of values
    int: "q", float: "d", bool: "?7x",
    np.int64: "q", np.int32: "i4x", np.float64: "d", np.float32: "f4x", np.bool_: "?7x",
}  # fmt: skip
NAME = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
ANOTHER_CONTEXT = (201, 400)  # what the driver answers where this thread has no context yet, or one for another GPU


@cache
def _driver() -> Any:
    """The driver, which Numba has found and made ready. Its calls keep Python's lock: they are shorter than letting it go."""
    module().current_context()
    return ctypes.PyDLL(NAME)


@cache
def _copier() -> Any:
    """The same with Python's lock let go: a copy waits for all that was launched before."""
    return ctypes.CDLL(NAME)


def version() -> int:
    """Of the driver, as 1000 × major + 10 × minor of CUDA."""
    number = ctypes.c_int()
    _check(_driver().cuDriverGetVersion(ctypes.byref(number)), "while the driver was asked for its version")
    return number.value


def _check(code: int, doing: str) -> None:
    if code:
        said = ctypes.c_char_p()
        _driver().cuGetErrorString(code, ctypes.byref(said))
        raise RuntimeError(f"CUDA error {code} {doing}: {(said.value or b'unknown').decode()}")


class Function:
    """A kernel's machine code on the current GPU, for arguments whose values are of these ``kinds`` in this order.

    Called with blocks, threads and the values. RuntimeError with the driver's words if it refuses.
    """

    def __init__(self, name: str, image: bytes, kinds: Sequence[type]) -> None:
        self.name, self.image = name, image
        self._values = (ctypes.c_int64 * max(1, len(kinds)))()
        begin = ctypes.addressof(self._values)
        self._places = (ctypes.c_void_p * len(kinds))(*(begin + SLOT * i for i in range(len(kinds))))
        self._write = struct.Struct("=" + "".join(FORMATS[kind] for kind in kinds)).pack_into
        self._lock = Lock()  # from writing the values until the driver has copied them
        self._load()

    def _load(self) -> None:
        loaded, function = ctypes.c_void_p(), ctypes.c_void_p()
        _check(_driver().cuModuleLoadData(ctypes.byref(loaded), self.image), f"while {self.name} was loaded")
        found = _driver().cuModuleGetFunction(ctypes.byref(function), loaded, self.name.encode())
        _check(found, f"while {self.name} was looked up")
        self._function = function

    def __call__(self, blocks: Dimensions, threads: Dimensions, values: Sequence[Any]) -> None:
        with self._lock:
            self._write(self._values, 0, *values)
            code = self._start(blocks, threads)
            if code in ANOTHER_CONTEXT:
                module().current_context()
                self._load()
                code = self._start(blocks, threads)
        if code:
            _check(code, f"at the launch of {self.name} with {blocks} blocks of {threads} threads")

    def _start(self, blocks: Dimensions, threads: Dimensions) -> int:
        code: int = _driver().cuLaunchKernel(self._function, *blocks, *threads, 0, None, self._places, None)
        return code


def to_host(host: Any, address: int) -> None:
    """Fill a contiguous NumPy array from an address on the GPU, when all that was launched before is done."""
    _driver()
    _copy("to", host, lambda place, size: _copier().cuMemcpyDtoH_v2(place, ctypes.c_uint64(address), size))


def from_host(address: int, host: Any) -> None:
    """Write a contiguous NumPy array to an address on the GPU, after all that was launched before."""
    _copy("from", host, lambda place, size: _copier().cuMemcpyHtoD_v2(ctypes.c_uint64(address), place, size))


def _copy(direction: str, host: Any, copy: Any) -> None:
    place, size = ctypes.c_void_p(host.ctypes.data), ctypes.c_size_t(host.nbytes)
    code = copy(place, size)
    if code in ANOTHER_CONTEXT:
        module().current_context()
        code = copy(place, size)
    _check(code, f"while {host.nbytes} bytes were copied {direction} the host")
