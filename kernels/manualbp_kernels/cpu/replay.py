"""Record the calls of kernels, and make them again without Python.

A *tape* is one array of 64-bit words: a row for each call, then a block for each call with its arguments; see ``entry.py``.
The machine code is the one that a call from Python runs: the results are the same to the bit. Steps of one *form*, the same
kernels with arguments of the same types, shapes and values, differ in where their arrays lie and in nothing else.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..address import address, array_object
from ..kernel import KERNELS, Kernel, get_backend
from .entry import call_entry, copy_bytes, kinds_of, machine_code, word_at
from .jit import Jit, jit

Made = tuple[Kernel, tuple[Any, ...]]  # a kernel and what it was called with


class Call(NamedTuple):
    """A kernel and what it was called with."""

    kernel: Kernel
    arguments: tuple[Any, ...]


class Tape:
    """Calls laid out for ``play``. It holds their arrays: nobody else is given their memory meanwhile.

    Args:
        calls: what is done in a step, in order: kernels and their arguments.
        alarm: an array of one float64; if the call that takes it sets it to another number than 0, ``play`` returns.

    Attributes:
        layout: the same object for tapes that make the same calls on arrays that lie elsewhere.
        places: where each array begins, in the order of the calls.
    """

    def __init__(self, calls: Sequence[Made], alarm: Any = None) -> None:
        self._calls, self.alarm = calls, np.zeros(1) if alarm is None else alarm
        form, self.places = _survey(calls)
        self.layout = _layouts.get(form) or _lay_out(form, calls)
        self.words = self.layout.words.copy()
        self.words[self.layout.holes] = self.places
        self._look = next((k for k, (_, arguments) in enumerate(calls, 1) if _contains(arguments, alarm)), len(calls))
        self._play = play.dispatcher

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        return tuple(map(Call._make, self._calls))

    def play(self, steps: int, start: int = 0) -> int:
        """Make the calls ``steps`` times, the first time from call ``start`` on; the GIL is released.

        Returns how many were made, counted from the first step's beginning: steps · len(calls), or fewer after an alarm.
        MemoryError if a kernel found no memory to work in.
        """
        made: int = self._play(self.words, len(self._calls), self._look, start, steps, self.alarm)
        if made < 0:
            raise self.failure(made)
        return made

    def frame(self, x: Any, y: Any, held: Sequence[Any]) -> Any:
        """The words that ``infer`` takes, for a tape that reads x, gives y, and is right while ``held`` are as they are."""
        words = [*self.words.tolist(), *x.shape, *y.shape]
        begin = len(words)
        words += noted(held)
        return np.array([*words, x.ndim, y.ndim, len(held), begin, len(self._calls), address(x), address(y)], np.int64)

    def failure(self, status: int) -> MemoryError:
        """The error of a call that failed."""
        return MemoryError(f"{self.calls[-1 - status].kernel.name} failed, probably for want of memory")


def _contains(arguments: tuple[Any, ...], alarm: Any) -> bool:
    for argument in arguments:  # noqa: SIM110  (not ==, which arrays answer by element; a generator takes five times as long)
        if argument is alarm:
            return True
    return False


# ---------------------------------------------------------------------- recording

_lock = threading.Lock()
_listeners = 0
_heard: dict[int, list[Made]] = {}  # by thread


@contextmanager
def recording() -> Iterator[list[Made]]:
    """``with recording() as calls: ...`` notes every kernel call that this thread makes, after making it."""
    if get_backend() != "fast":
        raise RuntimeError("only compiled kernels are recorded, and the backend is 'reference'")
    thread = threading.get_ident()
    calls: list[Made] = []
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
            calls.append((kernel, args))
        return None

    type(kernel).__call__ = staticmethod(call)  # type: ignore[method-assign, assignment]


# ---------------------------------------------------------------------- arguments as words


class Layout:
    """The words of a form. Array k, of ``sizes[k]`` bytes, is to be entered at ``holes[k]``."""

    def __init__(self, words: list[int], holes: list[int], sizes: list[int]) -> None:
        self.words, self.holes, self.sizes = np.array(words, np.uint64).view(np.int64), np.array(holes, np.intp), sizes


_layouts: dict[tuple[Any, ...], Layout] = {}
MOST_LAYOUTS = 1024


def _survey(calls: Sequence[Made]) -> tuple[tuple[Any, ...], list[int]]:
    """The form of the calls, and where their arrays begin."""
    form: list[Any] = []
    places: list[int] = []
    known: dict[int, tuple[Any, int]] = {}

    def look(arguments: tuple[Any, ...]) -> None:
        for argument in arguments:
            kind = type(argument)
            if kind is np.ndarray:
                if (found := known.get(id(argument))) is None:
                    found = known[id(argument)] = _array_form(argument), address(argument)
                form.append(found[0])
                places.append(found[1])
            elif isinstance(argument, tuple):
                form.append((kind, len(argument)))
                look(argument)
            else:
                form.append((kind, argument if argument is None else _word(argument)))

    for kernel, arguments in calls:
        form.append(kernel)
        look(arguments)
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


def _lay_out(form: tuple[Any, ...], calls: Sequence[Made]) -> Layout:
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

    for kernel, arguments in calls:
        code, entry = machine_code(kernel, kinds_of(arguments))
        rows += (entry, 8 * (begin + len(words)))
        words.append(code)
        for argument in arguments:
            put(argument)
    if len(_layouts) >= MOST_LAYOUTS:
        _layouts.clear()
    return _layouts.setdefault(form, Layout(rows + words, holes, sizes))


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


# ---------------------------------------------------------------------- where arrays lie


def noted(arrays: Iterable[Any]) -> list[int]:
    """What ``as_noted`` compares array objects with: their elements' place, axes, dtype, shape and strides."""
    words: list[int] = []
    for a in arrays:
        words += (array_object(a), address(a), a.ndim, id(a.dtype), *a.shape, *a.strides)
    return words


@jit
def as_noted(words, begin, arrays):
    """Whether the array objects noted from ``words[begin]`` on say of themselves what they said then."""
    same = True
    for _ in range(arrays):
        array, ndim = words[begin], words[begin + 2]
        same &= word_at(array) == words[begin + 1] and word_at(array + 40) == words[begin + 3]
        if not same or word_at(array + 8) & 0xFFFFFFFF != ndim:
            return False
        lengths, strides = word_at(array + 16), word_at(array + 24)
        for d in range(ndim):
            same &= word_at(lengths + 8 * d) == words[begin + 4 + d]
            same &= word_at(strides + 8 * d) == words[begin + 4 + ndim + d]
        begin += 4 + 2 * ndim
    return same


MISFIT, MOVED = 1, 2


@jit
def infer(words, x, y):
    """Copy x in, make all calls once, copy the result out to y. MISFIT if x or y are of another shape than the recorded,
    MOVED if an array lies elsewhere than it did or has another shape. The last words are those of ``Tape.frame``.
    """
    held, begin, calls, to_x, of_y = words[-5], words[-4], words[-3], words[-2], words[-1]
    if x.ndim != words[-7] or y.ndim != words[-6]:
        return MISFIT
    for d in range(x.ndim):
        if x.shape[d] != words[begin - y.ndim - x.ndim + d]:
            return MISFIT
    for d in range(y.ndim):
        if y.shape[d] != words[begin - y.ndim + d]:
            return MISFIT
    if not as_noted(words, begin, held):
        return MOVED
    copy_bytes(to_x, x.ctypes.data, x.size * x.itemsize)
    failed = make(words, 0, calls)
    copy_bytes(y.ctypes.data, of_y, y.size * y.itemsize)
    return failed
