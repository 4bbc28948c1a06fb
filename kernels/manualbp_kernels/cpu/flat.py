"""An array as one row of numbers. Numba's ``ravel`` asks a C function how to do that, which takes longer than a tiny kernel."""

from __future__ import annotations

from typing import Any

from .simd import Intrinsic


@Intrinsic
def flat(typing, a):
    """``a.ravel()``, a view if a is contiguous."""
    from numba import types
    from numba.core.imputils import impl_ret_borrowed
    from numba.np.arrayobj import populate_array

    row = types.Array(a.dtype, 1, "C", readonly=not a.mutable, aligned=a.aligned)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = context.make_array(a)(context, builder, args[0])
        view = context.make_array(row)(context, builder)
        populate_array(
            view, data=whole.data, shape=[whole.nitems], strides=[whole.itemsize], itemsize=whole.itemsize,
            meminfo=whole.meminfo, parent=whole.parent,
        )  # fmt: skip
        return impl_ret_borrowed(context, builder, row, view._getvalue())

    def emit_copy(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.compile_internal(builder, lambda array: array.ravel(), signature, args)

    return row(a), emit if a.layout == "C" else emit_copy
