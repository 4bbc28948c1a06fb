"""Memory as a GPU's threads read it: any contiguous array as one row of numbers, one or four of them at a time.

Four side by side are one instruction (16 bytes of float32, twice 16 of float64), where the address of the first one is a
multiple of 16. Numba's own indexing, besides, asks at every access whether the index is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from .device import DeviceFunction, simulated

ALIGNMENT = 16  # bytes


class Intrinsic(DeviceFunction):
    """A device function of (array, at, *values) given as LLVM IR, ``emit(builder, pointer, *values)``.

    Of (array, begin, at, *values), too: a place in two parts, of which a loop has to add only what changes in it. It returns as many elements as ``results`` says. The function itself is what the simulator runs.
    """

    def __init__(self, function: Callable[..., Any], results: int, emit: Callable[..., Any]) -> None:
        super().__init__(function)
        self.results, self.emit = results, emit

    @cached_property
    def compiled(self) -> Any:
        if simulated():
            return self.function
        from numba import types
        from numba.core.errors import TypingError

        from .device import intrinsic

        code, results, emit = self.function.__code__, self.results, self.emit
        names = code.co_varnames[1 : code.co_argcount]

        def define(array: Any, *given: Any) -> Any:
            if array.layout != "C":
                raise TypingError(f"{code.co_name} takes contiguous arrays, got {array}")
            result = types.int64 if results == -1 else (types.void, array.dtype)[results] if results < 2 else types.UniTuple(array.dtype, results)
            taken = [kind if name in ("at", "begin") else array.dtype for name, kind in zip(names, given, strict=True)]

            def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                data = context.make_array(array)(context, builder, args[0]).data
                if results == -1:
                    return emit(builder, data, args[1], array.dtype.bitwidth // 8)
                if names[0] == "begin":
                    from llvmlite import ir
                    data = builder.inttoptr(args[1], ir.PointerType(data.type.pointee, 1))
                    args = args[:1] + args[2:]
                made = emit(builder, builder.gep(data, [args[1]]), *args[2:])
                return context.get_dummy_value() if made is None else made

            return result(array, *taken), lower

        by_parameters = {  # Numba wants as many as the call has
            2: lambda context, array, a: define(array, a),
            3: lambda context, array, a, b: define(array, a, b),
            6: lambda context, array, a, b, c, d, e: define(array, a, b, c, d, e),
        }
        return intrinsic(by_parameters[code.co_argcount])


def intrinsic(results: int, emit: Callable[..., Any]) -> Callable[[Callable[..., Any]], Intrinsic]:
    """Decorator: see ``Intrinsic``."""
    return lambda function: Intrinsic(function, results, emit)


def row(array: Any) -> Any:
    """In the simulator: the array as one row."""
    return array if array.ndim == 1 else array.reshape(-1)


def fours(array: Any, at: Any) -> Any:
    """The same, for an access to four numbers; a GPU stops with "misaligned address" where the simulator says so here."""
    if (array.__array_interface__["data"][0] + int(at) * array.dtype.itemsize) % ALIGNMENT:
        raise IndexError(f"four numbers from number {at} on do not begin at a multiple of {ALIGNMENT} bytes")
    return row(array)


def _load_four(builder: Any, pointer: Any) -> Any:
    from llvmlite import ir

    vector = builder.load(_four_at(builder, pointer), align=ALIGNMENT)
    element = vector.type.element
    four = ir.Constant(ir.ArrayType(element, 4), ir.Undefined)
    for i in range(4):
        four = builder.insert_value(four, builder.extract_element(vector, ir.Constant(ir.IntType(32), i)), i)
    return four


def _store_four(builder: Any, pointer: Any, *values: Any) -> None:
    from llvmlite import ir

    vector = ir.Constant(ir.VectorType(values[0].type, 4), ir.Undefined)
    for i, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), i))
    builder.store(vector, _four_at(builder, pointer), align=ALIGNMENT)


def _four_at(builder: Any, pointer: Any) -> Any:
    from llvmlite import ir

    return builder.bitcast(pointer, ir.PointerType(ir.VectorType(pointer.type.pointee, 4), pointer.type.addrspace))


def _address(builder: Any, pointer: Any, at: Any, size: int) -> Any:
    from llvmlite import ir

    here = builder.ptrtoint(builder.addrspacecast(pointer, ir.PointerType(pointer.type.pointee, 1)), ir.IntType(64))
    return builder.add(here, builder.mul(at, ir.Constant(ir.IntType(64), size)))



def _align_shared(builder: Any, pointer: Any) -> None:
    shared = 3  # the number of this kind of memory in LLVM's language
    for each in builder.module.global_values:
        if getattr(each, "addrspace", 0) == shared:
            each.align = ALIGNMENT


@intrinsic(1, lambda builder, pointer: builder.load(pointer))
def get(array, at):
    """The element number ``at``."""
    return row(array)[at]


@intrinsic(0, lambda builder, pointer, value: builder.store(value, pointer) and None)
def put(array, at, value):
    row(array)[at] = value


@intrinsic(-1, _address)
def address(array, at):
    return at


@intrinsic(1, lambda builder, pointer: builder.load(pointer))
def get_from(array, begin, at):
    """The element number ``begin + at``."""
    return row(array)[begin + at]


@intrinsic(4, _load_four)
def get_four_from(array, begin, at):
    """The elements from number ``begin + at`` on, the first one at a multiple of 16 bytes."""
    return get_four.function(array, begin + at)


@intrinsic(4, _load_four)
def get_four(array, at):
    """The elements from number ``at`` on, the first one at a multiple of 16 bytes."""
    array = fours(array, at)
    return array[at], array[at + 1], array[at + 2], array[at + 3]


@intrinsic(0, _store_four)
def put_four(array, at, a, b, c, d):
    array = fours(array, at)
    array[at], array[at + 1], array[at + 2], array[at + 3] = a, b, c, d


@intrinsic(0, _align_shared)
def align_shared(array, at):
    """Shared memory of the calling function begins at multiples of 16 bytes, not of one element as Numba has it."""
