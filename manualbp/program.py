"""Programs: a training step that is recorded once and then run without Python.

A step is a fixed list of kernel calls on fixed arrays. ``record`` runs ordinary steps, with the layers' own ``forward`` and
``backward``, and keeps the calls; the program makes them again in compiled code. What changes from step to step lies in
arrays: learning rate, step counts, dropout counters, the place in the data, the losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from manualbp_kernels.address import address
from manualbp_kernels.cpu.replay import Tape, recording
from manualbp_kernels.elementwise import take_rows
from manualbp_kernels.loss import note_loss

from .inference import Inference
from .layer import integer
from .look import CannotRecord, Look, Memory, plain, same_bits, spoil, unrecordable, write
from .types import Array, as_array

if TYPE_CHECKING:
    from .losses import Loss
    from .optim import Optimizer
    from .profile import Profile
    from .sequential import Sequential

LOSSES = 4096  # steps between two looks at Python, at most
SLICE = 0.02  # seconds between two looks at Python: Ctrl-C is heard, the bar moves
MOST_VERIFIED = 1024

_verified: dict[tuple[Any, ...], Memory] = {}  # by what makes a step, the memory of one that was verified


class Data:
    """Samples in the order in which steps take them, and what steps count: arrays that machine code reads and writes.

    Args:
        x, y: the samples; a batch is gathered from them.
        whole: every step takes all samples as they lie, so nothing needs gathering.
        epochs: for how many epochs there is room in ``order``.
    """

    def __init__(self, x: Array, y: Array, whole: bool = False, epochs: int = 1) -> None:
        self.x, self.y, self.whole = plain(x, "x"), plain(y, "y"), whole
        self.order = np.arange(len(x)) if epochs == 1 else np.tile(np.arange(len(x)), epochs)
        self.position, self.step = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.losses, self.sums, self.alarm = np.empty(LOSSES), np.zeros(1), np.zeros(1)

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

    def begin(self) -> None:
        """Go back to the first sample."""
        self.position[0] = self.sums[0] = 0

    def arrays(self) -> list[Array]:
        """What changes from step to step. The losses are not read again."""
        return [self.position, self.step, self.sums, self.alarm]


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
        self._look = Look(
            (*net.modules(), loss, optimizer),
            (data.x, data.y, self.x, self.y, data.order, data.losses, *data.arrays()),
        )

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
        """One step from Python, kept. One that is like a verified one needs no proof of its own."""
        begin = time.perf_counter()
        with recording() as calls:
            self.step()
        self._slice = int(min(max(SLICE / (time.perf_counter() - begin), 1), LOSSES))
        try:
            self.tape = Tape(calls, self.data.alarm)
        except TypeError as error:
            raise CannotRecord(str(error)) from None
        self.verified = self._is_like_a_verified_one()

    def verify(self) -> None:
        """One step from Python and again from the tape; CannotRecord if they differ in a bit, and then the first one counts.

        Results of the recorded step are overwritten before: a tape that leaves something out, because it was computed by
        other means than kernels, cannot end up with the same numbers.
        """
        state = self._state
        prediction, cache, before = self.prediction, self._cache, self.copy_state()
        self.step()
        after = self.copy_state()
        write(state, before)
        self.prediction, self._cache = prediction, cache
        noted = (a for call in self.calls if call.kernel is note_loss for a in call.arguments)
        spoil(self.calls, (*state, *self._look.arrays(), *noted))
        self.tape.play(1)
        if not all(map(same_bits, state, after)):
            write(state, after)
            raise CannotRecord("the step computes something by other means than kernels")
        self.verified = True
        if (structure := self._look.structure()) is not None:
            if len(_verified) >= MOST_VERIFIED:
                _verified.clear()
            _verified[structure, self.tape.layout] = Memory(*self._arrays())

    def _is_like_a_verified_one(self) -> bool:
        """Whether a program was verified that is this one but for where its arrays lie.

        Objects of the library's classes with the same settings have gone through the same lines and made the same calls, on
        arrays that hang together in the same way: which overlap, and which are which weights. Then one program is a renaming
        of the other, and so is its proof.
        """
        structure = self._look.structure()
        memory = None if structure is None else _verified.get((structure, self.tape.layout))
        return memory is not None and memory.fits(*self._arrays())

    def _arrays(self) -> tuple[list[int], list[int]]:
        """Where all arrays lie, those of the calls and those that have a role in a step, and how many bytes they span."""
        roles = list(self._look.arrays())
        for _, values, gradients, memories, step in self.optimizer._runs:
            roles += (values, gradients, *memories, step)
        return self.tape.places + list(map(address, roles)), self.tape.layout.sizes + [a.nbytes for a in roles]

    @cached_property
    def _state(self) -> list[Array]:
        """Every array that a step changes and the next one reads."""
        net, loss, optimizer = self.net, self.loss, self.optimizer
        held = {id(p.value) for p in optimizer.parameters}
        arrays = [a for p in net.parameters() if id(p.value) not in held for a in (p.value, p.grad)]
        arrays += [getattr(m, name) for m in net.modules() for name in m.state]
        for _, values, gradients, memories, step in optimizer._runs:
            arrays += [values, gradients, *memories, step]
        return [*arrays, optimizer.hyper, loss.total, *self.data.arrays()]

    def copy_state(self) -> list[Array]:
        return [a.copy() for a in self._state]

    def write_state(self, values: list[Array]) -> None:
        write(self._state, values)

    def play(self, steps: int, done: Callable[[Array], bool] | None = None) -> None:
        """So many steps from the tape; ``done`` is told the losses of those made now and then, and may end it by True."""
        tape, data, length = self.tape, self.data, len(self.tape.calls)
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
            if done is not None and done(data.losses[:made]):
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

        def note(made: Array) -> bool:
            nonlocal noted
            losses[noted : noted + len(made)] = made
            noted += len(made)
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

        before = self.copy_state()
        try:
            return Profile(self)
        finally:
            self.write_state(before)

    def __str__(self) -> str:
        from .profile import listing

        return listing(self)

    def changed(self) -> bool:
        """Whether something has changed since the recording that machine code cannot know of."""
        return self._look.change() is not None


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
        return Inference(net, x)
    if loss is None or optimizer is None:
        raise TypeError("record expects record(net, loss, optimizer, x, y), or record(net, x=x) for a forward pass")
    x, y = as_array(x), as_array(y)
    if batch_size is not None and len(x) % batch_size:
        raise ValueError(f"record: {len(x)} samples are no multiple of batch_size {batch_size}")
    if reason := unrecordable((*net.modules(), loss, optimizer)):
        raise CannotRecord(reason)
    modes = [(module, module.training) for module in net.modules()]
    net.train()
    program = Program(net, loss, optimizer, Data(x, y, whole=batch_size is None), batch_size or len(x))
    before = program.copy_state()
    try:
        program.record()
        if not program.verified:
            program.verify()
    finally:
        program.write_state(before)
        for module, training in modes:
            module.training = training
    return program
