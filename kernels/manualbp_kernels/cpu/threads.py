"""How many threads compiled loops may use: one number that Python writes and machine code reads.

It is a number of our own and not Numba's, because it must hold for the whole process and at once: after a fork, where
entering OpenMP again would kill the child, it is 1; and it is 1 with Numba's workqueue, which two Python threads must
not enter at the same time. Kernels with a 1 before them run serially and never touch the threading layer.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

_number = ctypes.c_int64(0)  # 0: not started, no threading layer is loaded
_wanted: int | None = None
_forked = False  # from a parent that had loaded a threading layer


def set_num_threads(number: int) -> None:
    """Let kernels use up to ``number`` threads, process-wide; at most ``NUMBA_NUM_THREADS``. Results do not depend on it."""
    global _wanted
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"the number of threads must be an integer of at least 1, got {number!r}")
    _wanted = number
    if _number.value:
        _number.value = _allowed()


def get_num_threads() -> int:
    """How many threads kernels may use now."""
    start()
    return _number.value


@cache
def start() -> Any:
    """Load the threading layer, OpenMP where there is one, and return what calls to ``num_threads`` compile to."""
    import llvmlite.binding as llvm
    from numba.core import config, types
    from numba.core.registry import cpu_target
    from numba.np.ufunc import parallel

    if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
        config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    parallel._launch_threads()
    cpu_target.target_context.codegen()  # initialises LLVM
    _number.value = _allowed()
    # A function at a fixed name that reads the number: its address may change, the name in compiled code does not.
    address = ctypes.addressof(_number)
    module = llvm.parse_assembly(
        f"define i64 @manualbp_num_threads() {{ %n = load i64, ptr inttoptr (i64 {address} to ptr) ret i64 %n }}"
    )
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    llvm.add_symbol("manualbp_num_threads", engine.get_function_address("manualbp_num_threads"))
    start.engine = engine  # type: ignore[attr-defined]  # the code lives as long as it does
    return types.ExternalFunction("manualbp_num_threads", types.int64())


def _allowed() -> int:
    from numba import config, threading_layer

    most = 1 if _forked or threading_layer() == "workqueue" else int(config.NUMBA_NUM_THREADS)
    return min(_wanted or most, most)


def _alone() -> None:
    """In a forked child: serial from here on, whatever is asked for, if the parent had loaded a threading layer."""
    global _forked
    if _number.value:
        _forked, _number.value = True, 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone)
