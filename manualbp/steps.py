"""The steps of epochs: made from Python, or replayed by programs, to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import CannotRecord, unrecordable
from .losses import Loss
from .metrics import Metric
from .optim import Optimizer
from .program import LOSSES, SLICE, Data, Program
from .types import Array

if TYPE_CHECKING:
    from .sequential import Sequential
    from .training import Callback

WORTH_RECORDING = 16  # steps

Averages = dict[str, list[float]]  # of each epoch


@dataclass(frozen=True, eq=False)
class Job:
    """A network and how to train it, for ``fit_many``: the arguments of ``fit``, with the same meaning and defaults."""

    net: Sequential
    x: Array
    y: Array
    _: KW_ONLY
    loss: Loss
    optimizer: Optimizer
    epochs: int = 1
    batch_size: int = 32
    shuffle: bool = True
    validation_data: tuple[Array, Array] | None = None
    metrics: tuple[str | Metric, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    seed: int | None = None


class Steps:
    """Makes a job's steps, some epochs at a time.

    The first step of a size of batch is recorded, and the second one compared with its replay unless a step like it was
    before. From then on nothing runs in Python but what is asked for: metrics, callbacks, validation, the bar, Ctrl-C.

    Attributes:
        path: how they are made, "replayed" or "stepwise: " and why.
    """

    def __init__(self, job: Job, x: Array, y: Array, metrics: dict[str, Metric]) -> None:
        self.net, self.loss, self.optimizer, self.metrics = job.net, job.loss, job.optimizer, metrics
        self.x, self.y, self.shuffle = x, y, job.shuffle
        self.batch_size = min(job.batch_size, len(x))
        self.full, self.rest = divmod(len(x), self.batch_size)
        self.batches = self.full + bool(self.rest)
        self.asks = bool(metrics or job.callbacks or job.validation_data is not None)  # Python of the user's between epochs
        self.room = 1 if self.asks or self.rest else max(1, min(job.epochs, LOSSES // self.full))
        self.draw = np.random.default_rng(job.seed).permutation if job.shuffle else np.arange
        self.programs: dict[int, Program] = {}
        self.seconds = 0.0  # of an epoch
        try:
            if job.epochs * len(x) < WORTH_RECORDING * self.batch_size:
                raise CannotRecord(f"fewer than {WORTH_RECORDING} steps")
            if reason := unrecordable((*job.net.modules(), job.loss, job.optimizer)):
                raise CannotRecord(reason)
            whole = not job.shuffle and self.batches == 1
            self.data = Data(x, y, whole, epochs=1 if whole else self.room)
            self.path = "replayed"
        except CannotRecord as error:
            self.path = f"stepwise: {error}"

    def at_once(self, left: int) -> int:
        """How many of the epochs that are left may run with nothing of Python between them."""
        program = self.programs.get(self.batch_size)
        if self.room == 1 or self.path != "replayed" or program is None or not program.verified:
            return 1
        return max(1, min(self.room, left, int(SLICE / self.seconds)))

    def epochs(self, count: int, bar: Any, interrupt: Any) -> Averages:
        """So many passes over the samples, fewer after Ctrl-C; the averages of each over the samples it has seen."""
        begin = time.perf_counter()
        self.sums, self.seen, self.noted = dict[str, float](), 0, list[Array]()
        self.bar, self.interrupt = bar, interrupt
        order = self._order(count)
        if self.path == "replayed":
            self._replay_all(count)
        if count == 1:
            self._step_through(order[self.seen :])
            averages = {name: [value / self.seen] for name, value in self.sums.items()}
        else:
            averages = {"loss": self._losses()}
        self.seconds = (time.perf_counter() - begin) / count
        return averages

    def _order(self, count: int) -> Array:
        """In which order the samples are taken."""
        size = len(self.x)
        if self.path != "replayed":
            return self.draw(size)
        order = self.data.order
        if self.shuffle:
            for start in range(0, count * size, size):
                order[start : start + size] = self.draw(size)
        return order[: count * size]

    # ------------------------------------------------------------------ from Python

    def _step_through(self, order: Array) -> None:
        for batch in batches(order, self.batch_size):
            if self.interrupt.asked:
                break
            xb, yb = self.x[batch], self.y[batch]
            prediction = self.net.forward(xb)
            value = float(self.loss.forward(prediction, yb))
            self.optimizer.zero_grad()
            self.net.backward_weights(self.loss.backward())
            self.optimizer.step()
            add(self.sums, len(batch), {"loss": value, **self._measure(prediction, yb)})
            self.seen += len(batch)
            self.bar.update()

    def _measure(self, prediction: Array, target: Array) -> dict[str, float]:
        prediction, target = np.asarray(prediction), np.asarray(target)  # on the host, wherever they are
        return {name: f(prediction, target) for name, f in self.metrics.items()}

    # ------------------------------------------------------------------ replayed

    def _replay_all(self, count: int) -> None:
        self.data.begin()
        if self.asks and any(program.changed() for program in self.programs.values()):
            self.programs.clear()
        self._replay(self.batch_size, self.full * count)
        self._replay(self.rest, 1 if self.rest else 0)
        if self.seen:
            self.sums = {"loss": float(self.data.sums[0]), **self.sums}

    def _replay(self, size: int, steps: int) -> None:
        """So many steps; fewer if Ctrl-C ends them, or if one turns out not to be recordable."""
        if steps and size not in self.programs and self._goes_on():
            self.programs[size] = program = Program(self.net, self.loss, self.optimizer, self.data, size)
            steps -= self._step(size, program.record)
        if steps and self._goes_on() and not self.programs[size].verified:
            steps -= self._step(size, self.programs[size].verify)
        while steps and self._goes_on():
            now = 1 if self.metrics else steps
            steps -= now
            self.programs[size].play(now, lambda losses: self._done(size, losses))

    def _goes_on(self) -> bool:
        return self.path == "replayed" and not self.interrupt.asked

    def _step(self, size: int, step: Callable[[], None]) -> int:
        try:
            step()
        except CannotRecord as error:
            self.path = f"stepwise: {error}"
        self._done(size, self.data.losses[:1])
        return 1

    def _done(self, size: int, losses: Array) -> bool:
        """Count steps that are made; whether that was enough."""
        self.seen += len(losses) * size
        if self.room > 1:
            self.noted.append(losses.copy())
        if self.metrics:
            program = self.programs[size]
            add(self.sums, size, self._measure(program.prediction.copy(), program.y.copy()))
        self.bar.update(len(losses))
        return bool(self.interrupt.asked)

    def _losses(self) -> list[float]:
        """The average loss of each of several epochs, added up as in one."""
        weighted = self.batch_size * np.concatenate([np.empty(0), *self.noted])
        whole = len(weighted) // self.full * self.full
        sums = np.add.accumulate(weighted[:whole].reshape(-1, self.full), axis=1)[:, -1]
        averages: list[float] = (sums / len(self.x)).tolist()
        if begun := weighted[whole:].tolist():
            averages.append(sum(begun) / (len(begun) * self.batch_size))
        return averages


def batches(order: Array, size: int) -> Iterator[Array]:
    return (order[start : start + size] for start in range(0, len(order), size))


def add(sums: dict[str, float], samples: int, values: dict[str, float]) -> None:
    """Add values that are averages over so many samples."""
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + samples * value
