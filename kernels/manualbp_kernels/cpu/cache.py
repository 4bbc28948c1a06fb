"""Compiled functions on disk: one file for each function, signature and processor.

Three things differ from Numba's own cache. It looks only at the file of the function itself; here the folder is named
after a fingerprint of all kernel sources, so that a changed callee is noticed. It makes the compiler ready before it reads,
and parses what only the compiler needs; here a process that finds everything never starts the compiler. And it copies a
callee's code into every caller, which compiles it again; here a large callee stays apart, is found by its symbol, and is
named in the caller's file. No error of the file system ever reaches the user.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from contextlib import suppress
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from .jit import JITS, kernel_folder, write_at_once

LARGE = 8192  # bytes of machine code, wrapper for Python included: far more than LLVM would inline

_apart: dict[str, tuple[str, Any]] = {}  # symbol of a large function in this process → its key in JITS, its signature


class KernelCache:
    """What Numba's dispatchers expect of a cache."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.cache_path = kernel_folder()

    def load_overload(self, signature: Any, context: Any) -> CompileResult | None:
        """The function as it was kept; None if there is no such file, or a damaged one."""
        with suppress(Exception):  # whatever is wrong with the file: compile instead
            callees, parts, bitcode = pickle.loads(self._file(signature, context.codegen()).read_bytes())
            return self._revive(signature, context, callees, parts, bitcode)
        return None

    def _revive(self, signature: Any, context: Any, callees: Any, parts: Any, bitcode: bytes) -> CompileResult | None:
        for symbol, key, of in callees:
            JITS[key].dispatcher.compile(of)
            if symbol not in _apart:
                return None  # compiled anew, under another name
        rtsys.initialize(context)
        result = CompileResult._rebuild(context, *parts)
        result.library._shared_module = None
        if bitcode:
            result.library._get_module_for_linking = cache(lambda: llvm.parse_bitcode(bitcode))
        else:
            self._keep_apart(signature, result)
        return result

    def save_overload(self, signature: Any, result: CompileResult) -> None:
        """Keep a function that was just compiled."""
        (name, kind, (code, bitcode)), *rest = result._reduce()
        if len(code) > LARGE:
            self._keep_apart(signature, result)
            bitcode = b""
        if result.library.has_dynamic_globals:  # an address of this process
            return
        declared = (function.name for function in result.library._final_module.functions if function.is_declaration)
        callees = [(symbol, *_apart[symbol]) for symbol in declared if symbol in _apart]
        parts = (name, kind, (code, _stub(result.fndesc))), *rest
        with suppress(pickle.PickleError):
            write_at_once(self._file(signature, result.library.codegen), dumps((callees, parts, bitcode)))

    def _keep_apart(self, signature: Any, result: CompileResult) -> None:
        """Give callers nothing to copy."""
        _apart[result.fndesc.mangled_name] = self.key, signature
        result.library._shared_module = llvm.parse_assembly("")

    def _file(self, signature: Any, codegen: Any) -> Any:
        about = repr((signature, codegen.magic_tuple(), numba.__version__, sys.version_info[:2]))
        return self.cache_path / f"{self.key}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def _stub(names: Any) -> bytes:
    """All that Numba reads of a library's bitcode to run it: that it defines the function and its wrapper for Python."""
    symbols = names.llvm_func_name, names.llvm_cpython_wrapper_name
    bitcode: bytes = llvm.parse_assembly("\n".join(f'define void @"{s}"() {{ ret void }}' for s in symbols)).as_bitcode()
    return bitcode
