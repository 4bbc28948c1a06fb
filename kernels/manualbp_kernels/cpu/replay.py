"""Record the calls of kernels, and make them again without Python.

A *tape* is one array of 64-bit words: a row for each call, then a block for each call with its arguments; see ``entry.py``.
The machine code is the one that a call from Python runs: the results are the same to the bit. Steps of one *form*, the same
kernels with arguments of the same types, shapes and values, differ in where their arrays lie and in nothing else.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..address import address
from ..kernel import KERNELS, Kernel, get_backend
from .entry import call_entry, copy_bytes, kinds_of, machine_code
from .jit import Jit, jit


class Call(NamedTuple):
    """A kernel and what it was called with."""

    kernel: Kernel
    arguments: tuple[Any, ...]


class Tape:
    """Calls laid out for ``play``. It holds their arrays: nobody else is given their memory meanwhile.

    Args:
        calls: what is done in a step, in order.
        alarm: an array of one float64; if the call that takes it sets it to another number than 0, ``play`` returns.

    Attributes:
        form: equal for tapes that make the same calls on arrays that lie elsewhere.
        places: where each array begins, in the order of the calls.
        sizes: and how many bytes it spans.
    """

    def __init__(self, calls: Sequence[Call], alarm: Any = None) -> None:
        self.calls, self.alarm = tuple(calls), np.zeros(1) if alarm is None else alarm
        self.form, self.places = _survey(self.calls)
        layout = _layouts.get(self.form) or _lay_out(self.form, self.calls)
        self.sizes = layout.sizes
        self.words = layout.words.copy()
        self.words[layout.holes] = self.places
        alarmed = (k for k, call in enumerate(self.calls, 1) if any(a is alarm for a in call.arguments))
        self._look = next(alarmed, len(self.calls))
        self._play = play.dispatcher

    def play(self, steps: int, start: int = 0) -> int:
        """Make the calls ``steps`` times, the first time from call ``start`` on; the GIL is released.

        Returns how many were made, counted from the first step's beginning: steps · len(calls), or fewer after an alarm.
        MemoryError if a kernel found no memory to work in.
        """
        made: int = self._play(self.words, len(self.calls), self._look, start, steps, self.alarm)
        if made < 0:
            raise self.failure(made)
        return made

    def frame(self, x: Any, y: Any) -> Any:
        """The words that ``infer`` takes, for a tape that reads x and ends with y."""
        return np.array([*self.words, *x.shape, *y.shape, len(self.calls), address(x), address(y)], np.int64)

    def failure(self, status: int) -> MemoryError:
        """The error of a call that failed."""
        return MemoryError(f"{self.calls[-1 - status].kernel.name} failed, probably for want of memory")


# ---------------------------------------------------------------------- recording

_lock = threading.Lock()
_listeners = 0
_heard: dict[int, list[Call]] = {}  # by thread


@contextmanager
def recording() -> Iterator[list[Call]]:
    """``with recording() as calls: ...`` notes every kernel call that this thread makes, after making it."""
    if get_backend() != "fast":
        raise RuntimeError("only compiled kernels are recorded, and the backend is 'reference'")
    thread, calls = threading.get_ident(), list[Call]()
    before = _heard.get(thread)
    with listening():
        _heard[thread] = calls
        try:
            yield calls
        finally:
            del _heard[thread]
            if before is not None:
                _heard[thread] = before


@contextmanager
def listening() -> Iterator[None]:
    """Let kernels tell of their calls; done once around many recordings it saves each of them the trouble."""
    global _listeners
    with _lock:
        _listeners += 1
        if _listeners == 1:
            for each in KERNELS.values():
                _listen(each)
    try:
        yield
    finally:
        with _lock:
            _listeners -= 1
            if not _listeners:
                for each in KERNELS.values():
                    each._choose_again()


def _listen(kernel: Kernel) -> None:
    heard, this_thread = _heard, threading.get_ident
    run: Any = None

    def call(*args: Any) -> None:
        nonlocal run
        if not isinstance(args[0], np.ndarray):
            return kernel.form("cuda")(*args)
        if run is None:
            form = kernel.form("cpu")
            run = form.dispatcher if isinstance(form, Jit) else form
        run(*args)
        if (calls := heard.get(this_thread())) is not None:
            calls.append(Call(kernel, args))
        return None

    type(kernel).__call__ = staticmethod(call)  # type: ignore[method-assign, assignment]


# ---------------------------------------------------------------------- arguments as words


class _Layout(NamedTuple):
    """The words of a form. Array k, of ``sizes[k]`` bytes, is to be entered at ``holes[k]``."""

    words: Any
    holes: Any
    sizes: tuple[int, ...]


_layouts: dict[tuple[Any, ...], _Layout] = {}
MOST_LAYOUTS = 1024


def _survey(calls: Sequence[Call]) -> tuple[tuple[Any, ...], list[int]]:
    """The form of the calls, and where their arrays begin."""
    form: list[Any] = []
    places: list[int] = []
    known: dict[int, tuple[Any, int]] = {}

    def look(argument: Any) -> None:
        kind = type(argument)
        if kind is np.ndarray:
            if (found := known.get(id(argument))) is None:
                found = known[id(argument)] = _array_form(argument), address(argument)
            form.append(found[0])
            places.append(found[1])
        elif kind is float:
            form.append(_word(argument))
        elif isinstance(argument, tuple):
            form.append((kind, len(argument)))
            for part in argument:
                look(part)
        else:
            form.append((kind, argument if argument is None else _word(argument)))

    for kernel, arguments in calls:
        form.append(kernel)
        for argument in arguments:
            look(argument)
    return tuple(form), places


def _array_form(a: Any) -> tuple[Any, ...]:
    flags = a.flags
    return a.dtype, a.shape, a.strides, flags.writeable, flags.aligned


def _word(scalar: Any) -> int:
    if isinstance(scalar, (float, np.floating)):
        return _as_integer(_as_bytes(scalar))[0]  # type: ignore[no-any-return]
    if isinstance(scalar, (bool, int, np.integer, np.bool_)):
        return int(scalar) & 2**64 - 1
    raise TypeError(f"an argument of type {type(scalar).__name__} cannot be recorded")


_as_bytes, _as_integer = struct.Struct("<d").pack, struct.Struct("<Q").unpack


def _lay_out(form: tuple[Any, ...], calls: Sequence[Call]) -> _Layout:
    rows: list[int] = []
    words: list[int] = []
    holes: list[int] = []
    sizes: list[int] = []
    begin = 2 * len(calls)

    def put(argument: Any) -> None:
        if isinstance(argument, np.ndarray):
            holes.append(begin + len(words))
            sizes.append(_span(argument))
            words.extend((0, *argument.shape, *(s & 2**64 - 1 for s in argument.strides)))
        elif isinstance(argument, tuple):
            for part in argument:
                put(part)
        elif argument is not None:
            words.append(_word(argument))

    for call in calls:
        code, entry = machine_code(call.kernel, kinds_of(call.arguments))
        rows += (entry, 8 * (begin + len(words)))
        words.append(code)
        for argument in call.arguments:
            put(argument)
    if len(_layouts) >= MOST_LAYOUTS:
        _layouts.clear()
    layout = _Layout(np.array(rows + words, np.uint64).view(np.int64), np.array(holes, np.intp), tuple(sizes))
    _layouts[form] = layout
    return layout


def _span(a: Any) -> int:
    """Bytes from the array's first element to the end of its last one; strides are not negative."""
    if min(a.strides, default=0) < 0:
        raise TypeError("an array that runs backwards cannot be recorded")
    return int(a.itemsize + sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True))) if a.size else 0


# ---------------------------------------------------------------------- compiled


@jit
def make(words, first, last):
    """Calls first … last − 1; 0, or −1 − the number of one that failed."""
    base = words.ctypes.data
    for k in range(first, last):
        if call_entry(base, k) != 0:
            return -1 - k
    return 0


@jit
def play(words, calls, look, start, steps, alarm):
    """See ``Tape.play``; the alarm is looked at after ``look`` calls. If a call fails, −1 − its number."""
    for step in range(steps):
        if start < look:
            failed = make(words, start, look)
            if failed != 0:
                return failed
            if alarm[0] != 0:
                return step * calls + look
            start = look
        failed = make(words, start, calls)
        if failed != 0:
            return failed
        start = 0
    return steps * calls


MISFIT = 1


@jit
def infer(words, x, y):
    """Copy x in, make all calls once, copy the result out to y. MISFIT if x or y are of another shape than the recorded.

    The last words say how many calls there are, where x and y lie in the program, and their shapes; see ``Tape.frame``.
    """
    end = len(words) - 3
    for d in range(x.ndim):
        if x.shape[d] != words[end - y.ndim - x.ndim + d]:
            return MISFIT
    for d in range(y.ndim):
        if y.shape[d] != words[end - y.ndim + d]:
            return MISFIT
    copy_bytes(words[end + 1], x.ctypes.data, x.size * x.itemsize)
    failed = make(words, 0, words[end])
    copy_bytes(y.ctypes.data, words[end + 2], y.size * y.itemsize)
    return failed
