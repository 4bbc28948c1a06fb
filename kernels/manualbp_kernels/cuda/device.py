"""The one place that imports numba.cuda: how functions become grids of threads on a GPU.

It works with Numba's own numba.cuda, with NVIDIA's numba-cuda (which replaces it under the same name) and with the simulator
(``NUMBA_ENABLE_CUDASIM=1``), in which every CUDA thread is a Python thread. Numba is imported by the first launch or the
first device array and not before.

    @device_function
    def square(x):
        return x * x

    @grid
    def squares(y, x):
        for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            y[i] = square(x[i])

    squares[blocks, threads](y, x)

``cuda`` is a stand-in that every file imports from here; the module itself takes its place before anything is compiled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property, partial
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..cpu.jit import Jit
from .array import DeviceArray

T = TypeVar("T")

# No flags: NVVM fuses multiply-adds by itself, and Numba's fastmath=True would promise that there are no NaN, round divisions
# and roots by half, and flush subnormals to zero.
FASTMATH = False

GRIDS: dict[str, Grid] = {}  # every grid of the library, by "file.name"


def simulated() -> bool:
    """Whether the simulator stands in for the GPU."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def choose(real: T, simulated_: T) -> T:
    """A constant such as a tile's width: small in the simulator, where threads are costly and tiny arrays need ragged ends."""
    return simulated_ if simulated() else real


THREADS = choose(256, 4)  # of a block, where nothing speaks for another number
MOST_BLOCKS = choose(2048, 3)  # a dozen for each multiprocessor of a large GPU; their threads stride over what is left

ONE_BLOCK = choose(4096, 16)  # up to so many elements a block alone is as quick as several and a second launch


def cover(elements: int, threads: int = THREADS) -> tuple[int, int]:
    """(blocks, threads) for a loop over so many elements with ``range(cuda.grid(1), elements, cuda.gridsize(1))``."""
    return min(-(-elements // threads), MOST_BLOCKS), threads


# ---------------------------------------------------------------------- the module


class _Cuda:
    """Stands for numba.cuda in the files that are imported before it, and in simulated threads for what a thread sees."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_thread_context() or module(), name)


cuda: Any = _Cuda()


@cache
def module() -> Any:
    """numba.cuda, ready to use; RuntimeError with one line about what is missing if it is not."""
    try:
        from numba import config
        from numba import cuda as numba_cuda
    except ImportError as error:
        raise RuntimeError(f"no CUDA: {error}; install it with pip install 'manualbp[cuda]'") from None
    for settings in (config, getattr(numba_cuda, "config", config)):  # NVIDIA's package has its own
        settings.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a small network is small
    if not simulated():
        _check(numba_cuda)
    return numba_cuda


def _check(numba_cuda: Any) -> None:
    if error := numba_cuda.cuda_error():
        reason = " ".join(str(error).split())
        raise RuntimeError(f"no CUDA driver ({reason}): it comes with NVIDIA's graphics driver, see nvidia.com/drivers")
    try:
        devices = len(numba_cuda.gpus)
    except Exception as error:  # whatever the driver says when asked for devices
        raise RuntimeError(f"no CUDA device ({' '.join(str(error).split())}): this needs an NVIDIA GPU") from None
    if not devices:
        raise RuntimeError(
            "no CUDA device: the driver is there but shows no NVIDIA GPU, see nvidia-smi and CUDA_VISIBLE_DEVICES"
        )
    if not numba_cuda.is_available():
        raise RuntimeError("no CUDA compiler (NVVM): install it with pip install 'manualbp[cuda]'")


def _check_compiler() -> None:
    try:
        import numba.cuda.cudaimpl  # noqa: F401
    except AttributeError as error:  # numba-cuda 0.30 looks for what NumPy 2.5 no longer has
        raise RuntimeError(
            f"numba.cuda does not work with NumPy {np.__version__} ({error}): pip install 'manualbp[cuda]' brings one that does"
        ) from None


def intrinsic(function: Any) -> Any:
    """A device function given as LLVM IR, as Numba's decorator of that name makes it."""
    from numba.cuda.extending import intrinsic

    return intrinsic(function)


def simulated_array(layout: Any) -> Any:
    """Memory of the host as the simulator takes it for a launch."""
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(layout)


def _thread_context() -> Any:
    if not simulated():
        return None
    from numba.cuda.simulator.kernel import _get_kernel_context

    return _get_kernel_context()


# ---------------------------------------------------------------------- functions


class DeviceFunction:
    """A function that grids and other device functions call. In the simulator it is called as it is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    @cached_property
    def compiled(self) -> Any:
        if simulated():
            return on_device(self.function)
        return module().jit(on_device(self.function), device=True, fastmath=FASTMATH)


class Grid:
    """A function that runs once for each thread of a grid; compiled at the first launch for each combination of argument types.

    It takes device arrays, numbers and tuples of numbers; neither None nor NumPy arrays.
    """

    def __init__(self, function: Callable[..., None], name: str) -> None:
        self.function = function
        self.name = f"{function.__module__.rpartition('.')[2]}.{name}"
        self.__doc__ = function.__doc__
        GRIDS[self.name] = self

    def __getitem__(self, configuration: tuple[Any, ...]) -> Callable[..., None]:
        """``[blocks, threads]``: numbers or tuples of up to three."""
        return partial(self._launch, configuration)

    def _launch(self, configuration: tuple[Any, ...], *args: Any) -> None:
        for argument in args:
            if argument is None or isinstance(argument, np.ndarray):
                raise TypeError(f"{self.name} takes arrays of the GPU, got a {type(argument).__name__}")
        for made, dry in _noting:
            made.append(Launch(self, configuration, tuple(map(_unheld, args))))
            if dry:
                return
        if simulated():
            self._simulated[configuration](*(a.handle if isinstance(a, DeviceArray) else a for a in args))
        else:
            self._start(configuration, args)

    def _start(self, configuration: tuple[Any, ...], args: tuple[Any, ...]) -> None:
        """Launch what is compiled for such arguments, which are written down value by value."""
        kinds: list[Any] = []
        values: list[Any] = []
        for argument in args:
            if isinstance(argument, DeviceArray):
                kind, described = argument.handle
                kinds.append(kind)
                values += described
            elif isinstance(argument, tuple):
                kinds.append(tuple(map(type, argument)))
                values += argument
            else:
                kinds.append(type(argument))
                values.append(argument)
        key = tuple(kinds)
        if (function := self._functions.get(key)) is None:
            function = self._functions[key] = self._load(args, tuple(map(type, values)))
        blocks, threads = configuration
        function(_three(blocks), _three(threads), values)

    @cached_property
    def _functions(self) -> dict[Any, Any]:
        return {}

    def _load(self, args: tuple[Any, ...], kinds: tuple[type, ...]) -> Any:
        from .cache import machine_code
        from .driver import FORMATS, Function

        for kind in kinds:
            if kind not in FORMATS:
                raise TypeError(f"{self.name} takes arrays of the GPU, numbers and tuples of numbers, got a {kind.__name__}")
        with _compiling:
            return Function(*machine_code(self, signature(args)), kinds)

    def compile(self, types: tuple[Any, ...]) -> tuple[str, bytes]:
        """(name, code) of the machine code for the current GPU and arguments of these types."""
        _check_compiler()
        compiled = module().jit(on_device(self.function), fastmath=FASTMATH).compile(types)
        code = compiled._codelibrary.get_cubin()
        return compiled._codelibrary._entry_name, getattr(code, "code", code)

    @cached_property
    def _simulated(self) -> Any:
        return module().jit(_simulated_thread(on_device(self.function)))

    def __repr__(self) -> str:
        return f"<grid {self.name}>"


def grid(function: Callable[..., None] | None = None, *, name: str | None = None) -> Any:
    """Decorator: make a function a grid of threads, launched as ``name[blocks, threads](...)``."""
    if function is None:
        return partial(grid, name=name)
    return Grid(function, name or function.__name__)


def device_function(function: Callable[..., Any]) -> DeviceFunction:
    """Decorator: make a function callable from grids."""
    return DeviceFunction(function)


def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as numba.cuda must see it: the module and compiled functions where its globals or closure hold stand-ins."""
    from types import CellType, FunctionType

    code = function.__code__
    names = {name: _translate(value) for name, value in used(function).items()}
    cells = tuple(CellType(names[name]) for name in code.co_freevars)
    copy = FunctionType(code, {**function.__globals__, **names}, function.__name__, function.__defaults__, cells)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return copy


def used(function: Callable[..., Any]) -> dict[str, Any]:
    """The values of a function's names that are its module's or an enclosing function's."""
    from dis import get_instructions

    code, of_module = function.__code__, function.__globals__
    enclosing = {n: cell.cell_contents for n, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)}
    loaded = {each.argval for each in get_instructions(code) if each.opname == "LOAD_GLOBAL"}  # co_names has attributes too
    return {**{name: of_module[name] for name in loaded if name in of_module}, **enclosing}


def _translate(value: Any) -> Any:
    """What stands on the device for a value of a host module."""
    from . import functions

    if isinstance(value, DeviceFunction):
        return value.compiled
    if isinstance(value, Jit):  # a processor's helper, such as ``logistic``
        return _of_jit(value)
    if simulated():
        return value
    return module() if value is cuda else functions.translate(value)


@cache
def _of_jit(helper: Jit) -> Any:
    return DeviceFunction(helper.function).compiled


def _simulated_thread(function: Callable[..., None]) -> Callable[..., None]:
    """What a thread of the simulator runs: on NumPy's own arrays, which are far quicker than the simulator's, and with no
    warning of overflow or NaN, as on a GPU."""

    def run(*args: Any) -> None:
        with np.errstate(all="ignore"):
            function(*(a._item._ary if hasattr(a, "_item") else a for a in args))

    return run


def signature(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The types that Numba compiles for."""
    from numba import typeof, types
    from numba.np.numpy_support import from_dtype

    def kind(argument: Any) -> Any:
        if not isinstance(argument, DeviceArray):
            return typeof(argument)
        layout = "C" if argument.flags.c_contiguous else "A"
        return types.Array(from_dtype(argument.dtype), argument.ndim, layout)

    return tuple(map(kind, arguments))


def _three(sizes: int | tuple[int, ...]) -> tuple[int, int, int]:
    if isinstance(sizes, int):
        return sizes, 1, 1
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z


_compiling = Lock()  # Numba compiles in one thread at a time


# ---------------------------------------------------------------------- launches


class Launch(NamedTuple):
    """A grid, its (blocks, threads), and its arguments."""

    grid: Grid
    configuration: tuple[Any, ...]
    arguments: tuple[Any, ...]


def _unheld(argument: Any) -> Any:
    """The same memory, without holding the array: one that is held would not be used again, and the next launch differ."""
    return DeviceArray(argument.layout, argument._memory) if isinstance(argument, DeviceArray) else argument


_noting: list[tuple[list[Launch], bool]] = []


@contextmanager
def launches(dry: bool = False) -> Iterator[list[Launch]]:
    """``with launches() as made: ...`` notes every launch; ``len(made)`` is their number. A dry one is not made, only noted."""
    made: list[Launch] = []
    _noting.append((made, dry))
    try:
        yield made
    finally:
        _noting[:] = [noting for noting in _noting if noting[0] is not made]


@cache
def _scratch() -> dict[np.dtype[Any], DeviceArray]:
    return {}


def scratch(size: int, dtype: Any) -> DeviceArray:
    """A vector for what must lie somewhere between two launches of one kernel; the next kernel gets the same memory.

    Launches follow one another in order, so that one piece of memory serves all.
    """
    dtype = np.dtype(dtype)
    held = _scratch().get(dtype)
    if held is None or held.size < size:
        held = _scratch()[dtype] = DeviceArray.empty((max(size, 1 << 10),), dtype)
    return held[:size]


@cache
def _tickets() -> list[DeviceArray]:
    return []


def tickets(size: int = 1) -> DeviceArray:
    """So many zeros to count blocks with: see ``reduce.last_block``, which leaves zeros behind."""
    if not _tickets() or _tickets()[0].size < size:
        _tickets()[:] = [DeviceArray.from_host(np.zeros(max(size, 1 << 10), np.int32))]
    return _tickets()[0]
