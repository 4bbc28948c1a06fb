"""Record the calls of kernels, and make them again without Python.

A *tape* is a table with a row for each call: the address of an entry and that of a block of 64-bit words. The block holds
the address of the kernel's machine code and its arguments: of an array where it lies, its shape and its strides. The
entry loads them and calls; it is compiled once for each combination of argument types and kept on disk, so there is nothing
to compile for a network. The machine code is the one that a call from Python runs: the results are the same to the bit.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..kernel import KERNELS, Kernel, get_backend
from .jit import Jit, jit
from .simd import Intrinsic

_recording = threading.Lock()


class Call(NamedTuple):
    """A kernel and what it was called with."""

    kernel: Kernel
    arguments: tuple[Any, ...]


class Tape:
    """Calls laid out for ``play``. It holds their arrays: nobody else is given their memory meanwhile.

    Args:
        calls: what is done in a step, in order.
        alarm: an array of one float64; a call that sets it to another number than 0 makes ``play`` return.
    """

    def __init__(self, calls: Sequence[Call], alarm: Any) -> None:
        self.calls, self.alarm = tuple(calls), alarm
        rows: list[tuple[int, int]] = []
        words: list[int] = []
        for call in self.calls:
            address, kinds, block = _layout(call)
            rows.append((_entry_address(kinds), 8 * len(words)))
            words += [address, *block]
        self._blocks = np.array(words, np.uint64).view(np.int64)
        self.table = np.array(rows, np.int64).reshape(-1, 2)
        self.table[:, 1] += self._blocks.ctypes.data
        self._play = play.dispatcher

    def play(self, steps: int, start: int = 0) -> int:
        """Make the calls ``steps`` times, the first time from call ``start`` on; the GIL is released.

        Returns how many were made, counted from the first step's beginning: steps · len(calls), or fewer after an alarm.
        MemoryError if a kernel found no memory to work in.
        """
        made: int = self._play(self.table, start, steps, self.alarm)
        if made < 0:
            raise MemoryError(f"{self.calls[-1 - made].kernel.name} failed, probably for want of memory")
        return made


@contextmanager
def recording() -> Iterator[list[Call]]:
    """``with recording() as calls: ...`` notes every kernel call that this thread makes, after making it."""
    if get_backend() != "fast":
        raise RuntimeError("only compiled kernels are recorded, and the backend is 'reference'")
    calls: list[Call] = []
    owner = threading.get_ident()
    with _recording:
        for each in KERNELS.values():
            _listen(each, owner, calls)
        try:
            yield calls
        finally:
            for each in KERNELS.values():
                each._choose_again()


def _listen(kernel: Kernel, owner: int, calls: list[Call]) -> None:
    def call(*args: Any) -> None:
        kernel.form("cpu")(*args)
        if threading.get_ident() == owner:
            calls.append(Call(kernel, args))

    type(kernel).__call__ = staticmethod(call)  # type: ignore[method-assign, assignment]


# ---------------------------------------------------------------------- arguments as words

Kinds = tuple[Any, ...]  # Numba's types


def _layout(call: Call) -> tuple[int, Kinds, list[int]]:
    """The address of the kernel's machine code, the types of the arguments, and these as words."""
    kinds: list[Any] = []
    words: list[int] = []
    for argument in call.arguments:
        kinds.append(_kind_of(argument))
        _put(argument, words)
    return *_machine_code(call.kernel, tuple(kinds)), words


def _kind_of(argument: Any) -> Any:
    import numba

    if type(argument) is np.ndarray:
        flags = argument.flags
        order = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        return _array_kind(argument.dtype, argument.ndim, order, not flags.writeable, flags.aligned)
    return numba.typeof(argument)


@cache
def _array_kind(dtype: Any, ndim: int, order: str, readonly: bool, aligned: bool) -> Any:
    from numba import from_dtype, types

    return types.Array(from_dtype(dtype), ndim, order, readonly=readonly, aligned=aligned)


def _put(argument: Any, words: list[int]) -> None:
    if isinstance(argument, np.ndarray):
        words += (argument.__array_interface__["data"][0], *argument.shape, *(s & 2**64 - 1 for s in argument.strides))
    elif isinstance(argument, tuple):
        for part in argument:
            _put(part, words)
    elif isinstance(argument, (float, np.floating)):
        words.append(int(np.float64(argument).view(np.uint64)))
    elif isinstance(argument, (bool, int, np.integer)):
        words.append(int(argument) & 2**64 - 1)
    elif argument is not None:
        raise TypeError(f"an argument of type {type(argument).__name__} cannot be recorded")


# ---------------------------------------------------------------------- machine code


@cache
def _machine_code(kernel: Kernel, kinds: Kinds) -> tuple[int, Kinds]:
    form = kernel.form("cpu")
    if not isinstance(form, Jit):
        raise TypeError(f"kernel {kernel.name} is not compiled by Numba and cannot be recorded")
    return _address(form, kinds)


@cache
def _entry_address(kinds: Kinds) -> int:
    from numba import types

    return _address(_entry(kinds), (types.int64,))[0]


def _address(form: Jit, kinds: Kinds) -> tuple[int, Kinds]:
    """Where the machine code is, and the types it takes: constants that a loop takes together are one tuple."""
    from numba import types

    dispatcher = form.dispatcher
    _, folded = dispatcher._compiler.fold_argument_types(kinds, {})
    together = types.StarArgTuple, types.StarArgUniTuple
    kinds = tuple(types.BaseTuple.from_types(tuple(k)) if isinstance(k, together) else k for k in folded)
    if kinds not in dispatcher.overloads:
        dispatcher.compile(kinds)
    compiled = dispatcher.overloads[kinds]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)), kinds


def _entry(kinds: Kinds) -> Jit:
    call_kernel = Intrinsic(_caller(kinds))

    def entry(block):  # type: ignore[no-untyped-def]
        return call_kernel(block)

    entry.__module__ = __name__
    name = hashlib.sha256(repr(kinds).encode()).hexdigest()[:16]
    form: Jit = jit(entry, name=f"entry.{name}")
    return form


def _caller(kinds: Kinds) -> Any:
    """An intrinsic: call the kernel of the block at an address with the arguments that are there; its status."""

    def define(typing, block):  # type: ignore[no-untyped-def]
        from numba import types

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            words = _Words(context, builder, args[0])
            address = words.next()
            values = [words.value(kind) for kind in kinds]
            return _call(context, builder, address, kinds, values)

        return types.int32(types.int64), emit

    return define


class _Words:
    """A block, read word by word in LLVM IR."""

    def __init__(self, context: Any, builder: Any, address: Any) -> None:
        from llvmlite import ir

        self.context, self.builder, self.i64 = context, builder, ir.IntType(64)
        self.pointer, self.count = builder.inttoptr(address, self.i64.as_pointer()), 0

    def next(self) -> Any:
        place = self.builder.gep(self.pointer, [self.i64(self.count)])
        self.count += 1
        return self.builder.load(place)

    def value(self, kind: Any) -> Any:
        """An argument of a Numba type."""
        from numba import types

        context, b = self.context, self.builder
        if isinstance(kind, types.Array):
            return self._array(kind)
        if isinstance(kind, types.BaseTuple):
            return context.make_tuple(b, kind, [self.value(part) for part in kind])
        if isinstance(kind, types.NoneType):
            return context.get_dummy_value()
        if isinstance(kind, types.Float):
            double = b.bitcast(self.next(), context.get_value_type(types.float64))
            return context.cast(b, double, types.float64, kind)
        if isinstance(kind, types.Boolean):
            return b.trunc(self.next(), context.get_value_type(kind))
        if isinstance(kind, types.Integer):
            return context.cast(b, self.next(), types.int64, kind)
        raise TypeError(f"an argument of type {kind} cannot be recorded")

    def _array(self, kind: Any) -> Any:
        from numba.np.arrayobj import populate_array

        context, b = self.context, self.builder
        array = context.make_array(kind)(context, b)
        data = b.inttoptr(self.next(), array.data.type)
        shape = [self.next() for _ in range(kind.ndim)]
        strides = [self.next() for _ in range(kind.ndim)]
        itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        populate_array(array, data=data, shape=shape, strides=strides, itemsize=self.i64(itemsize), meminfo=None)
        return array._getvalue()


def _call(context: Any, builder: Any, address: Any, kinds: Kinds, values: list[Any], result: Any = None) -> Any:
    """Call the function at an address by Numba's convention; its status, 0 if all went well, or its result."""
    from numba import types
    from numba.core import cgutils

    convention, gives = context.call_conv, types.none if result is None else result
    kind = convention.get_function_type(gives, kinds)
    callee = builder.inttoptr(address, kind.as_pointer())
    outputs = [cgutils.alloca_once(builder, pointer.pointee) for pointer in kind.args[:2]]
    packed = context.get_arg_packer(kinds).as_arguments(builder, values)
    status = builder.call(callee, [*outputs, *packed])
    return status if result is None else builder.load(outputs[0])


@Intrinsic
def call_entry(typing, entry, block):
    """The status of the kernel that the entry calls."""
    from numba import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(context, builder, args[0], (types.int64,), [args[1]], types.int32)

    return types.int32(types.int64, types.int64), emit


@jit
def play(table, start, steps, alarm):
    """The whole of a program: see ``Tape.play``. If a call fails, −1 − its number."""
    calls = len(table)
    for step in range(steps):
        for k in range(start, calls):
            if call_entry(table[k, 0], table[k, 1]) != 0:
                return -1 - k
            if alarm[0] != 0:
                return step * calls + k + 1
        start = 0
    return steps * calls
