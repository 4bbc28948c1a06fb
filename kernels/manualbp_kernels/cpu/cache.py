"""The disk cache of compiled kernels.

Numba's own cache looks only at the file of the function itself. Here the key holds a fingerprint of all kernel
sources, so that a changed callee is noticed; and no error of the file system ever reaches the user.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator

from .jit import cache_folder, fingerprint


class _Locator(_CacheLocator):
    """Puts the files under ``cache_folder() / fingerprint()``."""

    _py_file = __file__

    def __init__(self) -> None:
        self._path = str(cache_folder() / fingerprint())

    def get_cache_path(self) -> str:
        return self._path

    def get_source_stamp(self) -> str:
        return fingerprint()

    def get_disambiguator(self) -> str:
        return ""

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        locator = cls()
        locator.ensure_cache_path()
        return locator


class _Impl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class KernelCache(FunctionCache):
    """Numba's function cache, keyed by the fingerprint of the sources, the signature and the processor."""

    _impl_class = _Impl

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        super().__init__(function)
        module = function.__module__.rpartition(".")[2]
        base = self._impl.get_filename_base(f"{module}.{name}", "")
        self._cache_file = IndexDataCacheFile(self._cache_path, base, fingerprint())

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return sig, codegen.magic_tuple()

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with suppress(OSError, EOFError, pickle.PickleError):  # full disk, folder gone, file cut short: compile instead
            yield
