"""Numba's simulated GPU with its threads in order, and every access watched.

Numba lets the threads of a block run as the operating system pleases, which hides races: they show once in a thousand runs.
Here each thread runs alone until its next ``syncthreads``, in an order that the test chooses, and so do the blocks. A kernel
without races gives the same bits in every order. Besides, each access to an array is looked at: two threads that touch one
element between the same two barriers, or from two blocks, and not both reading, are a race; so is an index outside the array
an error, and shared memory holds NaN until somebody writes to it.
"""

from __future__ import annotations

import math
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

ORDERS = ("forward", "reverse", "random")


class Place(NamedTuple):
    """A line of a kernel."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function}, line {self.line}"


def here(depth: int) -> Place:
    frame = sys._getframe(depth + 1)
    return Place(frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno)


class Race(Exception):
    """Two threads touch one element, one of them writes, and nothing says which comes first."""


class Divergence(Exception):
    """The threads of a block do not meet at the same barrier."""


class Abandoned(BaseException):
    """Ends a thread whose block has failed."""


def arranged(items: list[Any], order: str) -> list[Any]:
    if order == "random":
        return random.Random(len(items)).sample(items, len(items))
    return items[::-1] if order == "reverse" else items


# ---------------------------------------------------------------------- threads, one at a time


class Point(NamedTuple):
    x: int
    y: int
    z: int


class Worker(threading.Thread):
    """Carries one CUDA thread after another. While one waits at a barrier its worker waits too."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.work: SimpleQueue[Any] = SimpleQueue()
        self.news: SimpleQueue[Any] = SimpleQueue()
        self.abandoned = False
        self.start()

    def run(self) -> None:
        while True:
            function, self.blockIdx, self.threadIdx, self.thread_id = self.work.get()
            end: Any = None
            try:
                function()
            except Abandoned:
                pass
            except BaseException as error:
                end = error
            self.news.put(end)

    def syncthreads(self) -> None:
        """Called by Numba's simulator in the place of the CUDA function."""
        self.news.put(here(2))
        self.work.get()
        if self.abandoned:
            self.abandoned = False
            raise Abandoned

    def advance(self, task: Any = None) -> Place | None:
        """Let it run: to its next barrier, whose place is returned, or to its end."""
        self.work.put(task)
        end = self.news.get()
        if isinstance(end, BaseException):
            raise end
        return end

    def abandon(self) -> None:
        self.abandoned = True
        self.advance()


class Schedule:
    """How the launches inside ``with scheduled(…)`` run, and what their accesses are checked against."""

    def __init__(self, order: str, watch: bool) -> None:
        self.order, self.watch = order, watch
        self.idle: list[Worker] = []
        self.block = self.thread = self.epoch = 0
        self.fenced = False
        self.drawn: dict[int, dict[int, int]] = {}  # address of a counter → who has counted there, and in which epoch
        self.after: dict[int, int] = {}  # blocks that this one comes after, up to which epoch of theirs
        self.written: dict[int, Touch] = {}
        self.read: dict[int, list[Touch]] = {}

    def launch(self, function: Callable[[], None], grid: tuple[int, ...], block: tuple[int, ...]) -> None:
        self.written.clear()
        self.read.clear()
        self.drawn.clear()
        for number, at in enumerate(arranged(list(np.ndindex(*grid)), self.order)):
            self.block, self.fenced, self.after = number, False, {}
            self.run_block(function, Point(*at), block)

    def run_block(self, function: Callable[[], None], at: Point, block: tuple[int, ...]) -> None:
        points = [Point(*p) for p in np.ndindex(*block)]
        tasks = [(function, at, p, p.x + block[0] * (p.y + block[1] * p.z)) for p in points]
        workers: list[Worker | None] = [None] * len(tasks)
        turns, self.epoch = arranged(list(range(len(tasks))), self.order), 0
        try:
            while turns:
                self.epoch += 1
                stops = {i: self._advance(i, workers, tasks) for i in turns}
                self._check_barrier(stops)
                turns = arranged(sorted(i for i, stop in stops.items() if stop), self.order)
        except BaseException:
            for worker in filter(None, workers):
                worker.abandon()
            raise

    def _advance(self, i: int, workers: list[Worker | None], tasks: list[Any]) -> Place | None:
        """Thread i runs until its next barrier. A thread that never waits gives its worker to the next one at once."""
        self.thread, worker = i, workers[i]
        workers[i] = None
        task = None if worker else tasks[i]
        worker = worker or (self.idle.pop() if self.idle else Worker())
        try:
            stop = worker.advance(task)
        except BaseException:
            self.idle.append(worker)
            raise
        if stop is None:
            self.idle.append(worker)
        else:
            workers[i] = worker
        return stop

    def _check_barrier(self, stops: dict[int, Place | None]) -> None:
        places = set(stops.values())
        if len(places) > 1:
            said = " and ".join(sorted(str(place) if place else "the end" for place in places))
            raise Divergence(f"threads of one block wait in {said}")

    # ------------------------------------------------------------------ accesses

    def touch(self, address: int, shared: bool, writes: bool) -> None:
        now = Touch(self.block, self.epoch, self.thread, shared, writes, here(2))
        self._compare(now, self.written.get(address))
        if writes:
            for before in self.read.pop(address, ()):
                self._compare(now, before)
            self.written[address] = now
        else:
            readers = self.read.setdefault(address, [])
            readers[:] = [r for r in readers if r.at_once(self.block, self.epoch, -1)][-1:]  # two tell as much as all
            readers.append(now)

    def _compare(self, now: Touch, before: Touch | None) -> None:
        if before and before.at_once(now.block, now.epoch, now.thread):
            if before.shared or before.block == now.block or before.epoch > self.after.get(before.block, -1):
                raise Race(f"{now} while {before}")

    def draw(self, address: int) -> None:
        """An atomic addition: what blocks did before they counted there, behind a fence, is over for who counts after them."""
        drawn = self.drawn.setdefault(address, {})
        self.after.update(drawn)
        if self.fenced:
            drawn[self.block] = self.epoch


class Touch(NamedTuple):
    block: int
    epoch: int
    thread: int
    shared: bool
    writes: bool
    place: Place

    def at_once(self, block: int, epoch: int, thread: int) -> bool:
        """Whether no barrier lies between this and what that thread does."""
        if self.block != block:
            return not self.shared
        return self.epoch == epoch and self.thread != thread

    def __str__(self) -> str:
        what = f"{'writes to' if self.writes else 'reads'} {'shared' if self.shared else 'global'} memory"
        return f"thread {self.thread} of block {self.block} {what} ({self.place})"


class Cells:
    """An array inside a kernel. It knows the address of each element, and takes only indices that exist."""

    __slots__ = ("_shared", "_values", "address", "dtype", "ndim", "schedule", "shape", "size", "strides")

    def __init__(self, values: np.ndarray, schedule: Schedule, shared: bool) -> None:
        self._values, self.schedule, self._shared = values, schedule, shared
        self.shape, self.strides, self.ndim, self.size = values.shape, values.strides, values.ndim, values.size
        self.dtype, self.address = values.dtype, values.__array_interface__["data"][0]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        address = self._locate(index)
        if len(index) < self.ndim or any(isinstance(i, slice) for i in index):
            return Cells(self._values[index], self.schedule, self._shared)
        if self.schedule.watch:
            self.schedule.touch(address, self._shared, False)
        return self._values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        index = index if isinstance(index, tuple) else (index,)
        address = self._locate(index)
        if len(index) < self.ndim:
            raise IndexError(f"{len(index)} indices for an array of {self.ndim} axes, at {here(1)}")
        if self.schedule.watch:
            self.schedule.touch(address, self._shared, True)
        self._values[index] = value

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._values, name)
        if not callable(found):
            return Cells(found, self.schedule, self._shared) if isinstance(found, np.ndarray) else found

        def method(*args: Any) -> Any:  # reshape, view …
            result = found(*args)
            return Cells(result, self.schedule, self._shared) if isinstance(result, np.ndarray) else result

        return method

    def _locate(self, index: tuple[Any, ...]) -> int:
        address = self.address
        for axis, i in enumerate(index):
            if isinstance(i, slice):
                continue
            if not 0 <= i < self.shape[axis]:
                raise IndexError(f"index {i} of axis {axis} with {self.shape[axis]} elements, at {here(2)}")
            address += int(i) * self.strides[axis]
        return address


# ---------------------------------------------------------------------- in the place of Numba's own


@contextmanager
def scheduled(order: str = "forward", watch: bool = True) -> Iterator[None]:
    """Inside, kernels run on the simulated GPU in this order; with ``watch`` races are looked for."""
    from numba.cuda.simulator import kernel, kernelapi

    schedule = Schedule(order, watch)

    class Blocks:
        """Takes the place of Numba's BlockManager: gathers the blocks of a launch and runs them when all are there."""

        missing = 0

        def __init__(self, function: Callable[..., None], grid: Any, block: Any, debug: bool) -> None:
            self.function, self.grid, self.block = function, tuple(grid), tuple(block)

        def run(self, at: tuple[int, ...], *args: Any) -> None:
            Blocks.missing = (Blocks.missing or math.prod(self.grid)) - 1
            if not Blocks.missing:
                schedule.launch(lambda: self.function(*args), self.grid, self.block)

    class Shared(kernelapi.FakeCUDAShared):
        """Fresh memory for each block, NaN (or nonsense) until it is written to."""

        def array(self, shape: Any, dtype: Any) -> Any:
            key = (schedule.block, here(1), np.shape(shape) == () and shape == 0)
            if key not in self._allocations:
                for old in [k for k in self._allocations if k[0] != schedule.block]:
                    del self._allocations[old]
                self._allocations[key] = Cells(unwritten(shape or self._count(dtype), dtype), schedule, True)
            return self._allocations[key]

        def _count(self, dtype: Any) -> int:
            return self._dynshared_size // kernelapi.numpy_support.as_dtype(dtype).itemsize

    class Atomic(kernelapi.FakeCUDAAtomic):
        """Counts, and is no access that could be part of a race. Floats are refused: their sum would depend on the order."""

        def add(self, array: Any, index: Any, value: Any) -> Any:
            if array.dtype.kind not in "iu":
                raise TypeError(f"an atomic addition of {array.dtype}, at {here(1)}")
            schedule.draw(array._locate(index if isinstance(index, tuple) else (index,)))
            old = array._values[index]
            array._values[index] += value  # no other thread runs meanwhile
            return old

    class Local(kernelapi.FakeCUDALocal):
        def array(self, shape: Any, dtype: Any) -> Any:
            return unwritten(shape, dtype)

    def unwritten(shape: Any, dtype: Any) -> np.ndarray:
        if isinstance(dtype, kernelapi.types.Type):
            dtype = kernelapi.numpy_support.as_dtype(dtype)
        return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max // 3, dtype)

    def fence(module: Any) -> None:
        schedule.fenced = True

    def argument(array: Any) -> Cells:
        return Cells(array._ary, schedule, False)

    ours = {
        (kernel, "BlockManager"): Blocks,
        (kernel, "FakeWithinKernelCUDAArray"): argument,
        (kernelapi, "FakeCUDAShared"): Shared,
        (kernelapi, "FakeCUDALocal"): Local,
        (kernelapi, "FakeCUDAAtomic"): Atomic,
        (kernelapi.FakeCUDAModule, "threadfence"): fence,
    }
    before = {(module, name): getattr(module, name) for module, name in ours}
    for (module, name), new in ours.items():
        setattr(module, name, new)
    try:
        yield
    finally:
        for (module, name), old in before.items():
            setattr(module, name, old)
