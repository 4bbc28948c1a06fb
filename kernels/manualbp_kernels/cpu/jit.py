"""Compile loops with Numba: when first called, kept on disk, with one set of floating-point rules.

Numba is imported by the first call and not before, so that importing the library stays quick.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

# Multiply-adds may be fused. Never "nnan" or "ninf" (a NaN stays a NaN), never "arcp": x / 3 is not x * (1/3), and small
# integers must come out exact.
FASTMATH = {"contract", "nsz"}
# Only long sums may be reordered, so that they become vectors. Anywhere else the order in which a formula is written is
# the order in which it is rounded: else the bits would depend on how often LLVM has passed over the code.
REORDER = FASTMATH | {"reassoc"}

PACKAGE = __name__.partition(".")[0] + "."
JITS: dict[str, Jit] = {}  # by module and name


class Jit:
    """A function that Numba compiles when it is first called. Other compiled functions may call it."""

    def __init__(
        self, function: Callable[..., Any], name: str, parallel: bool = False, reorder: bool = False, exact: bool = False
    ) -> None:
        self.function = function
        self.name = name
        function.__qualname__ = name  # symbols are made of it: the loops of pointwise.py must not share one
        self.key = f"{function.__module__.removeprefix(PACKAGE)}.{name}"
        JITS[self.key] = self
        self.parallel = parallel
        self.fastmath = set() if exact else REORDER if reorder else FASTMATH
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any) -> Any:
        return self.dispatcher(*args)

    def __repr__(self) -> str:
        return f"<compiled {self.name}>"

    @cached_property
    def dispatcher(self) -> Any:
        import numba

        from . import scalar  # noqa: F401  (teaches Numba `like`)
        from .borrow import KernelCompiler

        _import_names(self.function.__globals__)  # even if it has none: a callee's code on disk may need them
        compiled = numba.njit(
            self.function,
            fastmath=self.fastmath,
            error_model="numpy",
            nogil=True,
            parallel=self.parallel,
            no_cfunc_wrapper=True,
            pipeline_class=KernelCompiler,
        )
        if not numba.config.DISABLE_JIT:
            _one_version(compiled)
            if self.belongs_here:
                from .cache import KernelCache

                compiled._cache = KernelCache(self.key)
        return compiled

    @property
    def belongs_here(self) -> bool:
        """Whether the fingerprint covers it; a user's own kernel is compiled in each process."""
        closure = [cell.cell_contents for cell in self.function.__closure__ or ()]
        return self.function.__module__.startswith(PACKAGE) and all(f.belongs_here for f in closure if isinstance(f, Jit))

    @property
    def _numba_type_(self) -> Any:
        """How Numba sees this object inside another compiled function."""
        return self.dispatcher._numba_type_


def jit(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    parallel: bool = False,
    reorder: bool = False,
    exact: bool = False,
) -> Any:
    """Decorator: compile ``function`` with Numba on its first call.

    ``parallel`` lets ``prange`` share its rounds out; ``reorder`` allows its sums to be added in vectors; ``exact`` rounds
    every operation by itself, as Python does.
    """
    if function is None:
        return lambda function: jit(function, name=name, parallel=parallel, reorder=reorder, exact=exact)
    return Jit(function, name or function.__name__, parallel, reorder, exact)


def prange(rounds: int) -> range:
    """``range``, in a compiled function with its rounds shared out among the threads."""
    return range(rounds)


def num_threads() -> int:
    """How many threads a compiled function may use; see ``threads.py``."""
    return 1


def _import_names(names: dict[str, Any]) -> None:
    """Put the compiler's own where a module imported the two stand-ins above, now that Numba is there."""
    import numba

    from . import threads

    native = threads.start()
    if names.get("prange") is prange:
        names["prange"] = numba.prange
    if names.get("num_threads") is num_threads:
        names["num_threads"] = native


def cache_folder() -> Path:
    """Where machine code is kept: ``NUMBA_CACHE_DIR`` if set, else the user's cache folder."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "manualbp"
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", "~"))
    elif sys.platform == "darwin":
        home = Path("~/Library/Caches")
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return home.expanduser() / "manualbp"


@cache
def fingerprint(*folders: str) -> str:
    """A hash of every source file of the kernels and in these folders: a change in any recompiles all, callees included.

    Another width of vectors, if one is asked for, is another code.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256(os.environ.get("MANUALBP_VECTOR_BYTES", "").encode())
    for source in sorted((*root.glob("*.py"), *(file for folder in folders for file in root.glob(f"{folder}/*.py")))):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def kernel_folder(*places: str) -> Path:
    """Where the machine code of these very sources is kept: the processor's, or with "cuda" the GPU's."""
    return cache_folder() / fingerprint("cpu", *places)


def write_at_once(file: Path, data: bytes) -> None:
    """Whoever reads the file meanwhile sees all of it or nothing. No error if there is no such folder, or a full disk."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{uuid.uuid4().hex}")
        draft.write_bytes(data)
        draft.replace(file)


def _one_version(dispatcher: Any) -> None:
    """Compile for an integer, not once more for each number that a caller writes out."""
    from numba.core.types import misc

    choose = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: choose(
        tuple(map(misc.unliteral, args)), {name: misc.unliteral(kind) for name, kind in kws.items()}
    )
