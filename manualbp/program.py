"""Programs: a training step that is recorded once and then run without Python.

A step is a fixed list of kernel calls on fixed arrays. ``record`` runs ordinary steps, with the layers' own ``forward`` and
``backward``, and keeps the calls; the program makes them again in compiled code. What changes from step to step lies in
arrays: learning rate, step counts, dropout counters, the place in the data, the losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from manualbp_kernels import get_backend, get_num_threads, set_num_threads
from manualbp_kernels.cpu.replay import Tape, recording
from manualbp_kernels.elementwise import take_rows
from manualbp_kernels.loss import note_loss

from .device import OnDevice
from .layer import integer
from .types import FLOATS, Array, as_array

if TYPE_CHECKING:
    from .losses import Loss
    from .optim import Optimizer
    from .profile import Profile
    from .sequential import Sequential

LOSSES = 4096  # steps between two looks at Python, at most
SLICE = 0.02  # seconds between two looks at Python: Ctrl-C is heard, the bar moves


class CannotRecord(ValueError):
    """Why a step can only be run from Python."""


class Data:
    """Samples in the order in which steps take them, and what steps count: arrays that machine code reads and writes.

    Args:
        x, y: the samples; a batch is gathered from them.
        whole: every step takes all samples, so nothing needs gathering.
    """

    def __init__(self, x: Array, y: Array, whole: bool = False) -> None:
        self.x, self.y, self.whole = _plain(x, "x"), _plain(y, "y"), whole
        self.order = np.arange(len(x))
        self.position, self.step = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.losses, self.sums, self.alarm = np.zeros(LOSSES), np.zeros(1), np.zeros(1)

    def buffers(self, size: int) -> tuple[Array, Array]:
        """Where batches of ``size`` samples go."""
        if self.whole:
            return self.x, self.y
        return np.empty((size, *self.x.shape[1:]), self.x.dtype), np.empty((size, *self.y.shape[1:]), self.y.dtype)

    def take(self, x: Array, y: Array) -> None:
        """Put the next batch into x and y."""
        if not self.whole:
            for batch, samples in ((x, self.x), (y, self.y)):
                take_rows(batch.reshape(len(batch), -1), samples.reshape(len(samples), -1), self.order, self.position)

    def note(self, loss: Loss, samples: int) -> None:
        """Note the loss of the step, and go on to the next batch."""
        note_loss(self.losses, self.sums, self.step, self.position, self.alarm, loss.total, loss.norm(), samples)

    def begin(self, order: Array | None = None) -> None:
        """Go back to the first sample, of a new order if there is one."""
        self.position[0] = self.sums[0] = 0
        if order is not None:
            self.order[...] = order

    def arrays(self) -> list[Array]:
        return [self.position, self.step, self.losses, self.sums, self.alarm]


def _plain(x: Any, what: str) -> Array:
    """The array as kernels take it; class numbers as int64."""
    x = as_array(x)
    if x.dtype.kind in "iu":
        return np.ascontiguousarray(x, np.int64)
    if x.dtype not in FLOATS:
        raise CannotRecord(f"{what} is of {x.dtype}")
    return np.ascontiguousarray(x)


class Program:
    """A training step for one size of batch.

    Attributes:
        calls: the kernel calls of a step, in order, each with its arguments.
        prediction: what the network gave for the batch of the last step.
    """

    def __init__(self, net: Sequential, loss: Loss, optimizer: Optimizer, data: Data, size: int) -> None:
        self.net, self.loss, self.optimizer, self.data = net, loss, optimizer, data
        self.x, self.y = data.buffers(size)
        self.verified = False
        self._slice = 1
        self._look = _Look(net, loss, optimizer, (data.x, data.y, self.x, self.y, data.order, *data.arrays()))

    @property
    def calls(self) -> tuple[Any, ...]:
        return self.tape.calls

    def step(self) -> None:
        """One step from Python: what is recorded."""
        self.data.take(self.x, self.y)
        self.prediction = self.net.forward(self.x)
        self.loss.forward(self.prediction, self.y)
        self._cache = self.loss.cache
        self.data.note(self.loss, len(self.x))
        self.optimizer.zero_grad()
        self.net.backward_weights(self.loss.backward())
        self.optimizer.step()

    def record(self) -> None:
        """One step from Python, kept."""
        with recording() as calls:
            self.step()
        try:
            self.tape = Tape(calls, self.data.alarm)
        except TypeError as error:
            raise CannotRecord(str(error)) from None

    def verify(self) -> None:
        """One step from Python and again from the tape; CannotRecord if they differ in a bit, and then the first one counts.

        Results of the recorded step are overwritten before: a tape that leaves something out, because it was computed by
        other means than kernels, cannot end up with the same numbers.
        """
        state = self.state()
        prediction, cache, before = self.prediction, self._cache, [a.copy() for a in state]
        self.step()
        after = [a.copy() for a in state]
        _write(state, before)
        self.prediction, self._cache = prediction, cache
        self._spoil(state)
        self.tape.play(1)
        if not all(map(_same_bits, state, after)):
            _write(state, after)
            raise CannotRecord("the step computes something by other means than kernels")
        self.verified = True

    def state(self) -> list[Array]:
        """Every array that a step changes and the next one reads."""
        net, loss, optimizer = self.net, self.loss, self.optimizer
        held = {id(p.value) for p in optimizer.parameters}
        arrays = [a for p in net.parameters() if id(p.value) not in held for a in (p.value, p.grad)]
        arrays += [getattr(m, name) for m in net.modules() for name in m.state]
        for _, values, gradients, memories, step in optimizer._runs:
            arrays += [values, gradients, *memories, step]
        return [*arrays, optimizer.hyper, loss.total, *self.data.arrays()]

    def _spoil(self, state: list[Array]) -> None:
        """Overwrite the results of the recorded step."""
        noted = (a for call in self.calls if call.kernel is note_loss for a in call.arguments)
        kept = {id(_root(a)) for a in (*state, *self._look.arrays(), *noted)}
        for call in self.calls:
            for a in call.arguments:
                if isinstance(a, np.ndarray) and a.flags.writeable and id(_root(a)) not in kept:
                    a.fill(np.nan if a.dtype in FLOATS else 0)

    def play(self, steps: int, done: Callable[[int], bool] | None = None) -> None:
        """So many steps from the tape; ``done`` is told how many were made now and then, and may end it by True."""
        tape, data, length = self.tape, self.data, len(self.tape.table)
        start = 0
        while steps:
            now = min(steps, self._slice)
            begin = time.perf_counter()
            data.step[0] = 0
            made = 0
            while made < now:
                whole, start = divmod(tape.play(now - made, start), length)
                made += whole
                if data.alarm[0]:
                    data.alarm[0] = 0
                    self.loss.cache = self._cache
                    self.loss._blame(self.y)
                    self.loss.cache = None
            steps -= made
            self._pace(time.perf_counter() - begin)
            if done is not None and done(made):
                break

    def _pace(self, seconds: float) -> None:
        if seconds < SLICE / 4:
            self._slice = min(2 * self._slice, LOSSES)
        elif seconds > SLICE:
            self._slice = max(self._slice // 2, 1)

    def run(self, steps: int) -> Array:
        """Train for exactly so many steps; returns their losses (steps,).

        RuntimeError if something that the program was recorded with has changed since. Ctrl-C ends it after a step.
        """
        if change := self._look.change():
            raise RuntimeError(f"{change}; record the program again")
        losses = np.empty(integer(steps, "run: steps", 0))
        noted, data = 0, self.data

        def note(made: int) -> bool:
            nonlocal noted
            losses[noted : noted + made] = data.losses[:made]
            noted += made
            return False

        while noted < steps:
            left = steps - noted
            if not data.whole:
                data.position[0] %= len(data.order)
                left = min(left, (len(data.order) - data.position[0]) // len(self.x))
            self.play(int(left), note)
        return losses

    def profile(self) -> Profile:
        """The time of each call; ``print`` shows it, ``.plot(path)`` draws it. Weights and state are as they were."""
        from .profile import Profile

        state = self.state()
        before = [a.copy() for a in state]
        try:
            return Profile(self)
        finally:
            _write(state, before)

    def __str__(self) -> str:
        from .profile import listing

        return listing(self)

    def changed(self) -> bool:
        """Whether something has changed since the recording that machine code cannot know of."""
        return self._look.change() is not None


class Inference:
    """A forward pass without Python: ``y = infer(x)`` for an x of the shape it was recorded with, in evaluation mode.

    The result is a fresh array. ValueError for another dtype or shape, RuntimeError if the network has changed.
    """

    def __init__(self, net: Sequential, x: Any) -> None:
        self.x = np.array(_plain(x, "x"))
        self._form = self.x.shape, self.x.dtype
        modes = [(module, module.training) for module in net.modules()]
        net.eval()
        try:
            with recording() as calls:
                self.y = net.forward(self.x)
        finally:
            for module, training in modes:
                module.training = training
        self.tape = Tape(calls, np.zeros(1))
        self._parameters = [(vars(m), name, vars(m)[name]) for m in net.modules() for name in m.weights]

    @property
    def calls(self) -> tuple[Any, ...]:
        return self.tape.calls

    def __call__(self, x: Array) -> Array:
        shape, dtype = self._form
        if type(x) is not np.ndarray or x.shape != shape or (x.dtype is not dtype and x.dtype != dtype):
            raise ValueError(f"expected an array of {dtype}, shape {shape}, got {as_array(x).dtype}, {np.shape(x)}")
        for own, name, array in self._parameters:
            if own[name] is not array:
                raise RuntimeError(f"{name} has been replaced since the program was recorded; record it again")
        self.x[...] = x
        self.tape.play(1)
        return self.y.copy()

    def __str__(self) -> str:
        from .profile import listing

        return listing(self)


def run_many(programs: Sequence[Program], steps: int) -> list[Array]:
    """``program.run(steps)`` for each, side by side on all cores; the losses of each.

    The programs must share nothing but data: networks, losses and optimizers of their own. Each runs on one thread, and
    the results are those of running one after the other.
    """
    if len({id(p.net) for p in programs}) + len({id(p.optimizer) for p in programs}) < 2 * len(programs):
        raise ValueError("run_many: each program needs a network and an optimizer of its own")
    threads = get_num_threads()
    set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda program: program.run(steps), programs))
    finally:
        set_num_threads(threads)


@overload
def record(net: Sequential, *, x: Any) -> Inference: ...
@overload
def record(net: Sequential, loss: Loss, optimizer: Optimizer, x: Any, y: Any, batch_size: int | None = None) -> Program: ...
def record(
    net: Sequential,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
) -> Program | Inference:
    """The training step of ``net`` as a ``Program``; weights, optimizer and data are as they were.

    ``record(net, x=x)`` gives the forward pass for arrays of x's shape, an ``Inference``.

    Args:
        net, loss, optimizer: as for ``net.fit``.
        x, y: the batch that every step takes, read in place: what is written into them later is seen. With ``batch_size``
            the data of which each step takes the next so many samples, from the first again after the last.

    CannotRecord (a ValueError) says why a step cannot be recorded: a class of your own, another backend.
    """
    if loss is None and optimizer is None and y is None and x is not None:
        if reason := unrecordable(net):
            raise CannotRecord(reason)
        return Inference(net, x)
    if loss is None or optimizer is None:
        raise TypeError("record expects record(net, loss, optimizer, x, y), or record(net, x=x) for a forward pass")
    x, y = as_array(x), as_array(y)
    if batch_size is not None and len(x) % batch_size:
        raise ValueError(f"record: {len(x)} samples are no multiple of batch_size {batch_size}")
    if reason := unrecordable(net, loss, optimizer):
        raise CannotRecord(reason)
    data = Data(x, y, whole=batch_size is None)
    program = Program(net, loss, optimizer, data, batch_size or len(x))
    modes = [(module, module.training) for module in net.modules()]
    net.train()
    state = program.state()
    before = [a.copy() for a in state]
    try:
        program.record()
        program.verify()
    finally:
        _write(state, before)
        for module, training in modes:
            module.training = training
    return program


def unrecordable(net: Sequential, *tools: Any) -> str | None:
    """Why a step of the network, with loss and optimizer, cannot be recorded, if so.

    Of a class that does not belong to the library nobody knows what it does in Python: it says ``recordable = True`` itself.
    """
    if get_backend() != "fast":
        return "the reference backend runs in Python"
    for thing in (*net.modules(), *tools):
        kind = type(thing)
        if issubclass(kind, OnDevice):
            return "arrays on a GPU are trained step by step"
        if not (kind.__module__.startswith("manualbp.") or vars(kind).get("recordable")):
            return f"{kind.__name__} is a class of your own and does not say recordable = True"
    return None


class _Look:
    """What network, loss and optimizer look like to machine code: settings, and where arrays lie."""

    settings = int, float, str, tuple
    passing = "cache", "training"
    kept = "hyper", "total", "_weight", "_pos_weight"

    def __init__(self, net: Sequential, loss: Loss, optimizer: Optimizer, data: Iterable[Array]) -> None:
        self.things = [*net.modules(), loss, optimizer]
        self.data = [(a, _place(a)) for a in data]
        self.seen = [self._of(thing) for thing in self.things]

    def _of(self, thing: Any) -> dict[str, Any]:
        weights = getattr(thing, "weights", ())
        arrays = {*weights, *(f"d{w}" for w in weights), *getattr(thing, "state", ()), *self.kept}
        return {
            name: _place(value) if isinstance(value, np.ndarray) else value
            for name, value in vars(thing).items()
            if name in arrays or (name not in self.passing and name[0] != "_" and isinstance(value, self.settings))
        }

    def arrays(self) -> Iterator[Array]:
        """All arrays that are no results of a step."""
        for thing in self.things:
            yield from (value for value in vars(thing).values() if isinstance(value, np.ndarray))
        yield from (a for a, _ in self.data)

    def change(self) -> str | None:
        """The first difference from then to now."""
        for thing, before in zip(self.things, self.seen, strict=True):
            now = self._of(thing)
            for name in before.keys() | now.keys():
                if before.get(name) != now.get(name):
                    return f"{thing}: {name.lstrip('_')} has been changed or replaced since the program was recorded"
        if any(_place(a) != place for a, place in self.data):
            return "the data have been moved or reshaped since the program was recorded"
        return None


def _place(a: Array) -> tuple[Any, ...]:
    return a.__array_interface__["data"][0], a.shape, a.strides, a.dtype


def _root(a: Any) -> Any:
    while isinstance(getattr(a, "base", None), np.ndarray):
        a = a.base
    return a


def _write(arrays: list[Array], values: list[Array]) -> None:
    for array, value in zip(arrays, values, strict=True):
        array[...] = value


def _same_bits(one: Array, other: Array) -> bool:
    return bool(np.array_equal(one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8)))
