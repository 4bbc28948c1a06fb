"""Memory as a GPU's threads read it: any contiguous array as one row of numbers, one or four of them at a time.

Four side by side are one instruction (16 bytes of float32, twice 16 of float64), where the address of the first one is a
multiple of 16. Numba's own indexing, besides, asks at every access whether the index is negative.

In a loop that reads the array by one index from several places, each place is best an ``address``: then the index and its
address are added by one instruction, where places and index would be two numbers of 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from .device import DeviceFunction, simulated

ALIGNMENT = 16  # bytes


class Intrinsic(DeviceFunction):
    """A device function of (array, at, *values) given as LLVM IR, ``emit(builder, data, at, *values)``.

    It returns as many elements as ``results`` says, or an ADDRESS. With the parameters (array, begin, at, *values) ``begin`` is
    an address in global memory, from which ``at`` counts. The function itself is what the simulator runs.
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
            number = array.dtype
            result = {ADDRESS: types.int64, 0: types.void, 1: number, 4: types.UniTuple(number, 4)}[results]
            taken = [kind if name in ("begin", "at") else number for name, kind in zip(names, given, strict=True)]

            def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                data, args = context.make_array(array)(context, builder, args[0]).data, args[1:]
                if names[0] == "begin":
                    data, args = builder.inttoptr(args[0], _global(data.type)), args[1:]
                made = emit(builder, data, *args)
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


ADDRESS = -1  # in the place of a number of results


def row(array: Any) -> Any:
    """In the simulator: the array as one row."""
    return array if array.ndim == 1 else array.reshape(-1)


def fours(array: Any, at: Any) -> Any:
    """The same, for an access to four numbers; a GPU stops with "misaligned address" where the simulator says so here."""
    if (array.__array_interface__["data"][0] + int(at) * array.dtype.itemsize) % ALIGNMENT:
        raise IndexError(f"four numbers from number {at} on do not begin at a multiple of {ALIGNMENT} bytes")
    return row(array)


def _load(builder: Any, data: Any, at: Any) -> Any:
    return builder.load(builder.gep(data, [at]))


def _store(builder: Any, data: Any, at: Any, value: Any) -> None:
    builder.store(value, builder.gep(data, [at]))


def _load_four(builder: Any, data: Any, at: Any) -> Any:
    from llvmlite import ir

    vector = builder.load(_four_at(builder, data, at), align=ALIGNMENT)
    element = vector.type.element
    four = ir.Constant(ir.ArrayType(element, 4), ir.Undefined)
    for i in range(4):
        four = builder.insert_value(four, builder.extract_element(vector, ir.Constant(ir.IntType(32), i)), i)
    return four


def _store_four(builder: Any, data: Any, at: Any, *values: Any) -> None:
    from llvmlite import ir

    vector = ir.Constant(ir.VectorType(values[0].type, 4), ir.Undefined)
    for i, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), i))
    builder.store(vector, _four_at(builder, data, at), align=ALIGNMENT)


def _four_at(builder: Any, data: Any, at: Any) -> Any:
    from llvmlite import ir

    vector = ir.VectorType(data.type.pointee, 4)
    return builder.bitcast(builder.gep(data, [at]), ir.PointerType(vector, data.type.addrspace))


def _global(pointer: Any) -> Any:
    """The type of pointers into global memory, which is number 1 in LLVM's language."""
    from llvmlite import ir

    return ir.PointerType(pointer.pointee, 1)


def _address(builder: Any, data: Any, at: Any) -> Any:
    """Copied by an instruction that LLVM does not look into: else it would add place and index first, or find the place anew in
    each pass of a loop, to save registers."""
    from llvmlite import ir

    integer = ir.IntType(64)
    found = builder.ptrtoint(builder.addrspacecast(builder.gep(data, [at]), _global(data.type)), integer)
    return builder.asm(ir.FunctionType(integer, [integer]), "mov.b64 $0, $1;", "=l,l", [found], side_effect=True)


def _align_shared(builder: Any, data: Any, at: Any) -> None:
    shared = 3  # the number of this kind of memory in LLVM's language
    for each in builder.module.global_values:
        if getattr(each, "addrspace", 0) == shared:
            each.align = ALIGNMENT


@intrinsic(1, _load)
def get(array, at):
    """The element number ``at``."""
    return row(array)[at]


@intrinsic(0, _store)
def put(array, at, value):
    row(array)[at] = value


@intrinsic(4, _load_four)
def get_four(array, at):
    """The elements from number ``at`` on, the first one at a multiple of 16 bytes."""
    array = fours(array, at)
    return array[at], array[at + 1], array[at + 2], array[at + 3]


@intrinsic(0, _store_four)
def put_four(array, at, a, b, c, d):
    array = fours(array, at)
    array[at], array[at + 1], array[at + 2], array[at + 3] = a, b, c, d


@intrinsic(ADDRESS, _address)
def address(array, at):
    """Where in global memory element number ``at`` lies, an int64."""
    return at


@intrinsic(1, _load)
def get_from(array, begin, at):
    """The element so many behind an ``address``."""
    return row(array)[begin + at]


@intrinsic(4, _load_four)
def get_four_from(array, begin, at):
    """Four elements from there on, the first one at a multiple of 16 bytes."""
    return get_four.function(array, begin + at)


@intrinsic(0, _align_shared)
def align_shared(array, at):
    """Shared memory of the calling function begins at multiples of 16 bytes, not of one element as Numba has it."""
