"""SIMD for Numba: vectors, masks and the register tile of the matrix product, written as LLVM IR.

Numba's loops leave it to LLVM to find vectors. Where it finds none, or poor ones, they are spelled out here: the K loop of a
tile of C held in registers, on which everything stands; a square of numbers turned over; a part of a row; the largest of
four pixels. The vector width is the host's; LLVM makes any width run anywhere.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, cached_property, partial
from typing import Any


@cache
def vector_bytes() -> int:
    """Bytes of the host's widest vector: 64 with AVX-512, 32 with AVX2, else 16; or what MANUALBP_VECTOR_BYTES says.

    LLVM makes any width run anywhere.
    """
    if chosen := os.environ.get("MANUALBP_VECTOR_BYTES"):
        return int(chosen)
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


# The register tile. With 32 registers 24 sums, 3 vectors of B and a number of A repeated; with 16 of them 12, 2 and 1.
ROWS, VECTORS = (8, 3) if vector_bytes() == 64 or platform.machine() == "arm64" else (6, 2)
HEIGHTS = (8,) if ROWS == 8 else (6, 5, 4)  # of whole tiles; 4 rows are still enough sums to keep the multipliers busy
PARTIAL = (ROWS, 4, 2)  # of tiles that may lack rows: a sample or two must not cost as much as eight


class Intrinsic:
    """A function given as IR, made known to Numba when a compiled function first mentions it."""

    def __init__(self, define: Callable[..., Any]) -> None:
        self.define = define
        self.__doc__ = define.__doc__

    def __call__(self, *args: Any) -> Any:
        raise NotImplementedError(f"{self.define.__name__} exists inside compiled functions only")

    @cached_property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target
        from numba.extending import intrinsic

        self._intrinsic = intrinsic(self.define)
        cpu_target.typing_context.refresh()
        return cpu_target.typing_context.resolve_value_type(self._intrinsic)


@Intrinsic
def lanes(typing, array):
    """How many numbers of this array a vector holds: a constant of the compiled code, unlike ``array.itemsize``."""
    from numba import types

    count = vector_bytes() * 8 // array.dtype.bitwidth
    return types.int64(array), lambda context, builder, signature, args: context.get_constant(types.int64, count)


@Intrinsic
def tile(typing, C, c0, ldc, A, a0, rows, r0, a_steps, B, b0, b_steps, K, m, n, start, bias, bias0):
    """C[i,j] = s[i,j] + Σ_p A[i,p] B[p,j] for one tile: i < m ≤ ROWS, j < n ≤ VECTORS vectors, p < K.

    All arrays are flat; C[i,j] is C[c0 + i·ldc + j], and where A and B lie tables say: A[i,p] is
    A[a0 + rows[r0 + i] + a_steps[p]], B[p,j] is B[b0 + b_steps[p] + j]. s is 0 (start 0), what C holds (1), bias[bias0 + i]
    (2) or bias[bias0 + j] (3). Nothing beyond m and n is read or written.
    """
    from numba import types

    i = types.int64
    signature = types.void(C, i, i, A, i, rows, i, a_steps, B, i, b_steps, i, i, i, i, bias, i)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature.args[0].dtype)
        C, A, B, bias = (e.array(signature.args[k], args[k], args[k + 1]) for k in (0, 3, 8, 15))
        tables = [e.array(signature.args[k], args[k], first) for k, first in ((5, args[6]), (7, 0), (10, 0))]
        _emit_tile(e, C, A, B, bias, *tables, args[2], *args[11:15])  # type: ignore[call-arg]
        return context.get_dummy_value()

    return signature, emit


@Intrinsic
def transpose(typing, D, d0, d_step, S, s0, s_step, rows, columns):
    """D[d0 + c·d_step + r] = S[s0 + r·s_step + c] for r < rows, c < columns, both at most a vector; 0 for r ≥ rows."""
    from numba import types

    i = types.int64
    signature = types.void(D, i, i, S, i, i, i, i)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature.args[0].dtype)
        D, S = (e.array(signature.args[k], args[k], args[k + 1]) for k in (0, 3))
        _emit_transpose(e, D, args[2], S, *args[5:])
        return context.get_dummy_value()

    return signature, emit


@Intrinsic
def copy_row(typing, D, d0, S, s0, n):
    """D[d0 + j] = S[s0 + j] for j < n, and 0 for n ≤ j < one vector."""
    return _along_a_row(D, S, lambda e, to, of, mask: e.store(e.load(of, mask), to))


@Intrinsic
def copy_rows(typing, D, d0, d_step, S, s0, s_step, rows, n):
    """D[d0 + r·d_step + j] = S[s0 + r·s_step + j] for r < rows, j < n, a row of a panel; then 0 to a vector's end."""
    from numba import types

    i = types.int64
    signature = types.void(D, i, i, S, i, i, i, i)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, b = Emitter(context, builder, signature.args[0].dtype), builder
        D, S = (e.array(signature.args[k], args[k], args[k + 1]) for k in (0, 3))

        def copies(vectors: int, whole: bool) -> None:
            masks = [None] * (vectors - 1) + [None if whole else e.mask(args[7], (vectors - 1) * e.width)]

            def body(r: Any, _: list[Any]) -> list[Any]:
                to, of = e.at(D, b.mul(r, args[2])), e.at(S, b.mul(r, args[5]))
                for v, part in enumerate([e.load(e.at(of, v * e.width), masks[v]) for v in range(vectors)]):
                    e.store(part, e.at(to, v * e.width))
                return []

            e.loop(args[6], [], body)

        wide, even = e.vectors(args[7])
        most = max(VECTORS, -(-ROWS // e.width))
        makers: list[Callable[[], Any]] = [
            partial(copies, vectors, whole) for whole in (False, True) for vectors in range(1, most + 1)
        ]
        e.branch(b.add(wide, b.select(even, e.constant(most), e.constant(0))), makers)
        return context.get_dummy_value()

    return signature, emit


@Intrinsic
def copy_part(typing, D, d0, S, s0, n):
    """D[d0 + j] = S[s0 + j] for j < n ≤ one vector, and nothing beyond."""
    return _along_a_row(D, S, lambda e, to, of, mask: e.store(e.load(of, mask), to, mask))


@Intrinsic
def max_of_four(typing, y, y0, argmax, x, upper, lower, at, below, n):
    """The largest of four pixels and its number, for n ≤ one vector of windows 2×2 side by side.

    y[y0 + w] = max of x[upper + 2w], x[upper + 2w + 1], x[lower + 2w], x[lower + 2w + 1]: pixels number at + 2w,
    at + 2w + 1, and these + below. Of equals it is the first, of NaNs too.
    """
    from numba import types

    i = types.int64
    signature = types.void(y, i, argmax, x, i, i, i, i, i)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, b = Emitter(context, builder, signature.args[0].dtype), builder
        y, argmax = e.array(signature.args[0], args[0], args[1]), e.array(signature.args[2], args[2], args[1])

        def four(masks: Sequence[Any]) -> None:
            candidates = []
            for first, offset in ((args[4], 0), (args[5], args[7])):
                row = [e.load(e.at(e.array(signature.args[3], args[3], first), k * e.width), masks[k]) for k in (0, 1)]
                for odd in (0, 1):
                    place = b.add(args[6], b.add(e.constant(odd), offset) if offset else e.constant(odd))
                    candidates.append((e.shuffle(row[0], row[1], range(odd, 2 * e.width, 2)), e.count(place, 2)))
            best, number = candidates[0]
            for value, place in candidates[1:]:
                wins = b.and_(b.fcmp_unordered(">", value, best), b.fcmp_ordered("ord", best, best))
                best, number = b.select(wins, value, best), b.select(wins, place, number)
            e.store(best, y, masks[2])
            e.store(number, argmax, masks[2])

        part = [e.mask(b.mul(args[8], e.constant(2)), first) for first in (0, e.width)]
        whole = b.zext(b.icmp_signed("==", args[8], e.constant(e.width)), e.i64)
        e.branch(whole, [lambda: four((*part, e.mask(args[8], 0))), lambda: four((None, None, None))])
        return context.get_dummy_value()

    return signature, emit


def _along_a_row(D: Any, S: Any, each: Callable[..., None]) -> Any:
    """Signature and IR of (D, d0, S, s0, n): ``each(e, to, of, mask)`` for the vectors at D[d0] and S[s0]."""
    from numba import types

    i = types.int64
    signature = types.void(D, i, S, i, i)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature.args[0].dtype)
        D, S = (e.array(signature.args[k], args[k], args[k + 1]) for k in (0, 2))
        whole = builder.zext(builder.icmp_signed("==", args[4], e.constant(e.width)), e.i64)
        e.branch(whole, [lambda: each(e, D, S, e.mask(args[4], 0)), lambda: each(e, D, S, None)])
        return context.get_dummy_value()

    return signature, emit


def _emit_tile(e: Emitter, C, A, B, bias, rows, a_steps, b_steps, ldc, K, m, n, start):  # type: ignore[no-untyped-def]
    b, W = e.builder, e.width

    def multiply(height: int, vectors: int, whole: bool) -> None:
        """A tile of so many rows and vectors; if it is not a whole one, rows and columns beyond m and n are left alone."""
        last = b.sub(m, e.constant(1))  # rows beyond it are computed from it, which is there, and not stored
        row = [e.constant(r) for r in range(height)]
        if not whole:
            row = [b.select(b.icmp_signed("<", r, m), r, last) for r in row]
        a_row = [e.at(A, b.load(e.at(rows, r))) for r in row]
        c_row = [e.at(C, b.mul(ldc, r)) for r in row]
        masks = [None] * (vectors - 1) + [None if whole else e.mask(n, (vectors - 1) * W)]
        places = [(r, v) for r in range(height) for v in range(vectors)]
        for r, v in places:
            e.prefetch(e.at(c_row[r], v * W))

        def body(p: Any, sums: list[Any]) -> list[Any]:
            step, at = b.load(e.at(a_steps, p)), e.at(B, b.load(e.at(b_steps, p)))
            column = [e.load(e.at(at, v * W), masks[v]) for v in range(vectors)]
            factors = (e.splat(e.at(a_row[r], step)) for r in range(height))
            return [e.fma(factor, column[v], sums[r * vectors + v]) for r, factor in enumerate(factors) for v in range(vectors)]

        sums = e.loop(K, [e.zero()] * len(places), body)

        def plus(addend: Callable[[int, int], Any]) -> list[Any]:
            return [b.fadd(addend(r, v), sums[r * vectors + v]) for r, v in places]

        sums = e.choose(
            start,
            [
                lambda: sums,
                lambda: plus(lambda r, v: e.load(e.at(c_row[r], v * W), masks[v])),
                lambda: plus(lambda r, v: e.splat(e.at(bias, row[r]))),
                lambda: plus(lambda r, v: e.load(e.at(bias, v * W), masks[v])),
            ],
        )
        for r in range(height):
            with nullcontext() if whole else b.if_then(b.icmp_signed("<", e.constant(r), m)):
                for v in range(vectors):
                    e.store(sums[r * vectors + v], e.at(c_row[r], v * W), masks[v])

    # Code of its own for each whole tile: a masked store costs as much as forty plain ones on some processors.
    wide, even = e.vectors(n)
    kind = e.constant(0)
    for k, height in enumerate(PARTIAL):
        kind = b.select(b.icmp_signed("<=", m, e.constant(height)), e.constant(k), kind)
    for k, height in enumerate(HEIGHTS, len(PARTIAL)):
        kind = b.select(b.and_(even, b.icmp_signed("==", m, e.constant(height))), e.constant(k), kind)
    cases = [(height, False) for height in PARTIAL] + [(height, True) for height in HEIGHTS]
    makers: list[Callable[[], Any]] = [
        partial(multiply, height, vectors, whole) for height, whole in cases for vectors in range(1, VECTORS + 1)
    ]
    e.branch(b.add(wide, b.mul(kind, e.constant(VECTORS))), makers)


def _emit_transpose(e: Emitter, D, d_step, S, s_step, rows, columns):  # type: ignore[no-untyped-def]
    b, W, nothing = e.builder, e.width, e.constant(0)

    def whole() -> None:
        vectors = _turned(e, [e.load(e.at(S, b.mul(s_step, e.constant(r)))) for r in range(W)])
        for c in range(W):
            e.store(vectors[c], e.at(D, b.mul(d_step, e.constant(c))))

    def part() -> None:
        vectors = []
        for r in range(W):
            exists = b.icmp_signed("<", e.constant(r), rows)
            source = e.at(S, b.mul(s_step, b.select(exists, e.constant(r), nothing)))
            vectors.append(e.load(source, e.mask(b.select(exists, columns, nothing), 0)))
        vectors = _turned(e, vectors)
        for c in range(W):
            with b.if_then(b.icmp_signed("<", e.constant(c), columns)):
                e.store(vectors[c], e.at(D, b.mul(d_step, e.constant(c))))

    square = b.and_(b.icmp_signed("==", rows, e.constant(W)), b.icmp_signed("==", columns, e.constant(W)))
    e.branch(b.zext(square, e.i64), [part, whole])


def _turned(e: Emitter, vectors: list[Any]) -> list[Any]:
    """The columns of a square of rows: its off-diagonal quarters exchanged, then those of each quarter, and so on.

    Source: Eklundh, "A fast computer method for matrix transposing" (1972).
    """
    W, distance = e.width, e.width // 2
    while distance:
        for r in range(W):
            if not r & distance:
                x, y = vectors[r], vectors[r + distance]
                vectors[r] = e.shuffle(x, y, [j if not j & distance else W + j - distance for j in range(W)])
                vectors[r + distance] = e.shuffle(x, y, [j + distance if not j & distance else W + j for j in range(W)])
        distance //= 2
    return vectors


class Emitter:
    """An IR builder that speaks of vectors of one dtype."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        from llvmlite import ir

        self.ir, self.context, self.builder = ir, context, builder
        self.bytes = dtype.bitwidth // 8
        self.width = vector_bytes() // self.bytes
        self.vector = ir.VectorType(context.get_value_type(dtype), self.width)
        self.i64, self.i32 = ir.IntType(64), ir.IntType(32)
        self.name = f"v{self.width}f{dtype.bitwidth}"

    def constant(self, value: int) -> Any:
        return self.ir.Constant(self.i64, value)

    def zero(self) -> Any:
        return self.ir.Constant(self.vector, None)

    def array(self, kind: Any, value: Any, offset: Any) -> Any:
        """A pointer to element ``offset`` of a flat array."""
        return self.at(self.context.make_array(kind)(self.context, self.builder, value).data, offset)

    def at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.gep(pointer, [self.constant(offset) if isinstance(offset, int) else offset])

    def load(self, pointer: Any, mask: Any = None) -> Any:
        pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.bytes)
        kinds = [pointer.type, self.i32, mask.type, self.vector]
        load = self._function(f"llvm.masked.load.{self.name}.p0", self.vector, kinds)
        return self.builder.call(load, [pointer, self.ir.Constant(self.i32, self.bytes), mask, self.zero()])

    def store(self, value: Any, pointer: Any, mask: Any = None) -> None:
        pointer = self.builder.bitcast(pointer, value.type.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=self.bytes)
            return
        kinds = [value.type, pointer.type, self.i32, mask.type]
        name = self.name if value.type == self.vector else f"v{self.width}i32"
        store = self._function(f"llvm.masked.store.{name}.p0", self.ir.VoidType(), kinds)
        self.builder.call(store, [value, pointer, self.ir.Constant(self.i32, 4), mask])

    def mask(self, n: Any, first: int) -> Any:
        """Of the lanes first, first + 1, …, those below n, which is a small number."""
        b, lanes = self.builder, self.ir.VectorType(self.i32, self.width)
        numbers = self.ir.Constant(lanes, [first + k for k in range(self.width)])
        return b.icmp_signed("<", numbers, self._repeat(b.trunc(n, self.i32), lanes))

    def vectors(self, n: Any) -> tuple[Any, Any]:
        """How many vectors n ≥ 1 numbers fill, less one, and whether they fill the last one."""
        b, width = self.builder, self.constant(self.width)
        wide = b.sdiv(b.sub(n, self.constant(1)), width)
        return wide, b.icmp_signed("==", n, b.mul(b.add(wide, self.constant(1)), width))

    def count(self, first: Any, step: int) -> Any:
        """first, first + step, … as 32-bit integers."""
        lanes = self.ir.VectorType(self.i32, self.width)
        numbers = self.ir.Constant(lanes, [step * k for k in range(self.width)])
        return self.builder.add(self._repeat(self.builder.trunc(first, self.i32), lanes), numbers)

    def splat(self, pointer: Any) -> Any:
        """The number at ``pointer`` in every lane."""
        return self._repeat(self.builder.load(pointer, align=self.bytes), self.vector)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        return self.builder.call(self._function(f"llvm.fma.{self.name}", self.vector, [self.vector] * 3), [a, b, c])

    def shuffle(self, x: Any, y: Any, lanes: Sequence[int]) -> Any:
        return self.builder.shuffle_vector(x, y, self.ir.Constant(self.ir.VectorType(self.i32, len(lanes)), list(lanes)))

    def prefetch(self, pointer: Any) -> None:
        """Ask for the cache line at ``pointer``, to be written."""
        pointer = self.builder.bitcast(pointer, self.ir.IntType(8).as_pointer())
        options = [self.ir.Constant(self.i32, k) for k in (1, 3, 1)]  # write, keep close, data
        prefetch = self._function("llvm.prefetch.p0", self.ir.VoidType(), [pointer.type, self.i32, self.i32, self.i32])
        self.builder.call(prefetch, [pointer, *options])

    def branch(self, number: Any, makers: list[Callable[[], Any]]) -> None:
        """The code that maker ``number`` makes, for what it does and not for values."""

        def make(maker: Callable[[], Any]) -> list[Any]:
            maker()
            return []

        self.choose(number, [partial(make, maker) for maker in makers])

    def choose(self, number: Any, makers: list[Callable[[], list[Any]]]) -> list[Any]:
        """The values that maker ``number`` makes, each maker in a branch of its own."""
        b, end = self.builder, self.builder.append_basic_block("chosen")
        blocks = [b.append_basic_block("choice") for _ in makers]
        switch = b.switch(number, blocks[0])
        for k, block in enumerate(blocks[1:], 1):
            switch.add_case(self.constant(k), block)
        made = []
        for block, maker in zip(blocks, makers, strict=True):
            b.position_at_end(block)
            values = maker()
            made.append((b.block, values))
            b.branch(end)
        b.position_at_end(end)
        return [self._phi([(block, values[k]) for block, values in made]) for k in range(len(made[0][1]))]

    def loop(self, count: Any, values: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """``values`` after ``count`` ≥ 1 rounds of ``values = body(p, values)``."""
        b, before = self.builder, self.builder.block
        block, end = b.append_basic_block("round"), b.append_basic_block("rounds")
        b.branch(block)
        b.position_at_end(block)
        p = self._phi([(before, self.constant(0))])
        carried = [self._phi([(before, value)]) for value in values]
        following = [b.add(p, self.constant(1)), *body(p, carried)]
        for phi, value in zip([p, *carried], following, strict=True):
            phi.add_incoming(value, block)
        self._keep_rolled(b.cbranch(b.icmp_signed("<", following[0], count), block, end))
        b.position_at_end(end)
        return following[1:]

    def _keep_rolled(self, branch: Any) -> None:
        """Two rounds in one would need more registers than there are."""
        module = self.builder.module
        loop = module.add_metadata([module.add_metadata(["llvm.loop.unroll.disable"])])
        loop.operands = (loop, *loop.operands)  # it is known by naming itself
        branch.set_metadata("llvm.loop", loop)

    def _repeat(self, scalar: Any, kind: Any) -> Any:
        nothing = self.ir.Constant(kind, self.ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, self.ir.Constant(self.i32, 0))
        return self.builder.shuffle_vector(first, nothing, self.ir.Constant(self.ir.VectorType(self.i32, self.width), None))

    def _phi(self, incoming: list[tuple[Any, Any]]) -> Any:
        phi = self.builder.phi(incoming[0][1].type)
        for block, value in incoming:
            phi.add_incoming(value, block)
        return phi

    def _function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        from numba.core import cgutils

        return cgutils.get_or_insert_function(self.builder.module, self.ir.FunctionType(result, arguments), name)
