"""Compiled functions that make no array do not count references.

Numba counts who holds an array, with two calls for each argument of a function that branches: for a tiny kernel that is half
of its time. A function that neither makes nor returns an array only borrows those of its caller, who holds them until it is
done. So it is compiled without counting; whether it does is read off its types, and what is not known counts.
"""

from __future__ import annotations

from typing import Any

from numba.core import ir
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NopythonTypeInference
from numba.core.types.containers import BaseTuple
from numba.core.types.misc import EllipsisType, NoneType, SliceLiteral, SliceType
from numba.core.types.scalars import Integer

from .flat import flat

VIEWS = ("cast", "phi", "getattr", "build_tuple", "exhaust_iter", "getiter", "iternext", "pair_first")  # of what is there


class KernelCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, with ``Borrow`` as soon as the types are known."""

    def define_pipelines(self) -> Any:
        pipelines = super().define_pipelines()
        for each in pipelines:
            each.add_pass_after(Borrow, NopythonTypeInference)
            each.finalize()
        return pipelines


@register_pass(mutates_CFG=False, analysis_only=True)
class Borrow(FunctionPass):  # type: ignore[misc]
    """Turn counting off for a function of which nothing is left that would have to be counted."""

    _name = "borrow"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        statements = [statement for block in state.func_ir.blocks.values() for statement in block.body]
        if not any(_makes_or_returns(statement, state) for statement in statements):
            state.targetctx = state.targetctx.subtarget(enable_nrt=False)
        return False


def _makes_or_returns(statement: Any, state: Any) -> bool:
    """Whether the statement may leave the function with an array, or something that holds one, that it has to answer for."""
    if isinstance(statement, ir.Return):
        return _counted(statement.value, state)
    return isinstance(statement, ir.Assign) and _counted(statement.target, state) and not _is_view(statement.value, state)


def _counted(variable: Any, state: Any) -> bool:
    model: Any = state.targetctx.data_model_manager[state.typemap[variable.name]]
    return bool(model.contains_nrt_meminfo())


def _is_view(value: Any, state: Any) -> bool:
    if not isinstance(value, ir.Expr):
        return isinstance(value, (ir.Arg, ir.Var))
    if value.op in ("getitem", "static_getitem"):
        index = value.index_var if value.op == "static_getitem" else value.index
        return index is None or _is_basic(state.typemap[index.name])
    if value.op == "call":
        called: Any = state.typemap[value.func.name]
        return bool(called == flat._numba_type_ and state.typemap[value.args[0].name].layout == "C")
    return value.op in VIEWS


def _is_basic(index: Any) -> bool:
    """Whether it makes a view; an index that is an array makes a copy."""
    if isinstance(index, BaseTuple):
        return all(map(_is_basic, index))
    return isinstance(index, (Integer, SliceType, SliceLiteral, EllipsisType, NoneType))
