"""Entries: machine code that calls a kernel with arguments that lie in memory, word by word.

A *block* of 64-bit words holds the address of a kernel's machine code and its arguments: of an array where it lies, its
shape and its strides. The entry loads them and calls. It is compiled once for each combination of argument types and kept
on disk, so there is nothing to compile for a network.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from ..kernel import Kernel
from .jit import Jit, jit
from .simd import Intrinsic

Kinds = tuple[Any, ...]  # Numba's types


def kinds_of(arguments: tuple[Any, ...]) -> Kinds:
    """Numba's types of a kernel's arguments."""
    return tuple(map(_kind_of, arguments))


def _kind_of(argument: Any) -> Any:
    import numba
    import numpy as np

    if type(argument) is np.ndarray:
        flags = argument.flags
        order = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
        kind = numba.from_dtype(argument.dtype)
        return numba.types.Array(kind, argument.ndim, order, readonly=not flags.writeable, aligned=flags.aligned)
    return numba.typeof(argument)


@cache
def machine_code(kernel: Kernel, kinds: Kinds) -> tuple[int, int]:
    """Where the kernel's machine code for these types is, and where that of the entry that calls it."""
    from numba import types

    form = kernel.form("cpu")
    if not isinstance(form, Jit):
        raise TypeError(f"kernel {kernel.name} is not compiled by Numba and cannot be recorded")
    address, kinds = _address(form, kinds)
    return address, _address(_entry(kinds), (types.int64,))[0]


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


@cache
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
def call_entry(typing, words, k):
    """The status of call k: the program begins with a row for each call, the entry and how far on its block begins."""
    from numba import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        i64 = ir.IntType(64)
        base, number = args
        row = builder.gep(builder.inttoptr(base, i64.as_pointer()), [builder.shl(number, i64(1))])
        entry, block = (builder.load(builder.gep(row, [i64(i)])) for i in (0, 1))
        return _call(context, builder, entry, (types.int64,), [builder.add(base, block)], types.int32)

    return types.int32(types.int64, types.int64), emit


@Intrinsic
def copy_bytes(typing, to, of, count):
    """Copy so many bytes from one address to another."""
    from numba import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        to, of = (builder.inttoptr(a, ir.IntType(8).as_pointer()) for a in args[:2])
        cgutils.raw_memcpy(builder, to, of, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


@Intrinsic
def word_at(typing, place):
    """The 64-bit word at an address."""
    from numba import types

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        return builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()))

    return types.int64(types.int64), emit
