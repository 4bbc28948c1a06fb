"""Training: the loop of epochs and batches around forward, loss, backward and step.

An *epoch* goes through all samples once, a *batch* is what one step sees, an *iteration* is one step.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .losses import Loss
from .metrics import Metric, named
from .optim import Optimizer
from .program import CannotRecord, Data, Program, unrecordable
from .types import FLOATS, Array, as_array

if TYPE_CHECKING:
    from .sequential import Sequential


class History:
    """What happened in each epoch: ``history["loss"]`` is a list with an entry per epoch.

    An epoch that Ctrl-C ended has no val_… : it is left out of those lists.

    Attributes:
        epochs: one dictionary per epoch: loss, metrics, val_loss, val_… , seconds.
        interrupted: whether Ctrl-C ended the training early.
        path: how the steps were run, "replayed" or "stepwise: " and why; the results are the same.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.interrupted = False
        self.path = ""

    def __getitem__(self, name: str) -> list[float]:
        if self.epochs and name not in self.epochs[0]:
            raise KeyError(f"{name!r} was not recorded, only {', '.join(self.epochs[0])}")
        return [epoch[name] for epoch in self.epochs if name in epoch]

    def __len__(self) -> int:
        return len(self.epochs)

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        content = {"interrupted": self.interrupted, "path": self.path, "epochs": self.epochs}
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.4g}" for name, value in self.epochs[-1].items()) if self.epochs else "empty"
        return f"History({len(self)} epochs, {last}{', interrupted' if self.interrupted else ''})"


WORTH_RECORDING = 16  # steps; a step is made twice to compare both ways

Callback = Callable[["Sequential", History], bool | None]


def fit(
    net: Sequential,
    x: Array,
    y: Array,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 1,
    batch_size: int = 32,
    shuffle: bool = True,
    validation_data: tuple[Array, Array] | None = None,
    metrics: tuple[str | Metric, ...] = (),
    callbacks: tuple[Callback, ...] = (),
    seed: int | None = None,
    progress: bool = True,
) -> History:
    """Train ``net`` on samples x with targets y, first axis the samples.

    Args:
        loss, optimizer: what is minimised and how; the optimizer holds ``net.parameters()``.
        epochs, batch_size: the last batch of an epoch may be smaller.
        shuffle: whether each epoch takes the samples in a new order, drawn from ``seed``.
        validation_data: (x, y) evaluated after each epoch, as val_loss and val_….
        metrics: names or functions; averaged over the epoch's batches as they were trained on.
        callbacks: called as ``callback(net, history)`` after each epoch; a true answer ends the training.
        progress: show a bar.

    Everything is checked before the first step: TypeError or ValueError leave all weights as they were. Ctrl-C ends
    the training after the batch at work; what was learned stays.
    """
    data, target = as_array(x), as_array(y)
    checks = named(metrics)
    check_counts(epochs, batch_size)
    _check_tools(net, loss, optimizer, callbacks)
    rng = np.random.default_rng(seed)
    history = History()
    with Interrupt() as interrupt, _mode(net, training=True):
        _check_data(net, data, target, loss, checks, "x and y")
        if validation_data is not None:
            held_out = _pair(validation_data)
            _check_data(net, *held_out, loss, checks, "validation_data")
        steps = _Steps(net, loss, optimizer, checks, data, target, batch_size, epochs)
        for epoch in range(epochs):
            start = time.perf_counter()
            order = rng.permutation(len(data)) if shuffle else np.arange(len(data))
            with _bar(len(data), batch_size, f"epoch {epoch + 1}/{epochs}", progress) as bar:
                averages = steps.epoch(order, bar, interrupt)
                if validation_data is not None and not interrupt.asked:
                    scores = evaluate(net, *held_out, loss=loss, metrics=metrics)
                    averages |= {f"val_{name}": value for name, value in scores.items()}
                bar.set_postfix({name: f"{value:.4g}" for name, value in averages.items()})
            history.interrupted, history.path = interrupt.asked, steps.path
            if averages:
                history.epochs.append({**averages, "seconds": round(time.perf_counter() - start, 6)})
            wishes = [callback(net, history) for callback in callbacks]
            if interrupt.asked or any(wishes):
                break
    return history


class _Steps:
    """The steps of an epoch: from Python, or replayed by programs, one for each size of batch.

    The first step of a size is recorded, the second one is compared with its replay, and from then on nothing runs in
    Python but what is asked for: metrics, the bar, Ctrl-C.
    """

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        metrics: dict[str, Metric],
        x: Array,
        y: Array,
        batch_size: int,
        epochs: int,
    ) -> None:
        self.net, self.loss, self.optimizer, self.metrics = net, loss, optimizer, metrics
        self.x, self.y, self.batch_size = x, y, batch_size
        self.programs: dict[int, Program] = {}
        try:
            if epochs * len(x) < WORTH_RECORDING * batch_size:
                raise CannotRecord(f"fewer than {WORTH_RECORDING} steps")
            if reason := unrecordable(net, loss, optimizer):
                raise CannotRecord(reason)
            self.data = Data(x, y)
            self.path = "replayed"
        except CannotRecord as error:
            self.path = f"stepwise: {error}"

    def epoch(self, order: Array, bar: Any, interrupt: Interrupt) -> dict[str, float]:
        """One pass over the samples in the given order; returns the averages over the samples seen."""
        self.averages, self.bar, self.interrupt = _Averages(), bar, interrupt
        if self.path == "replayed":
            self.data.begin(order)
            if any(program.changed() for program in self.programs.values()):
                self.programs.clear()
            full, rest = divmod(len(order), self.batch_size)
            self._replay(self.batch_size, full)
            self._replay(rest, 1 if rest else 0)
            self._add_loss()
        begin = self.averages.samples
        for batch in _batches(order[begin:], self.batch_size):
            if interrupt.asked:
                break
            xb, yb = self.x[batch], self.y[batch]
            prediction = self.net.forward(xb)
            value = float(self.loss.forward(prediction, yb))
            self.optimizer.zero_grad()
            self.net.backward_weights(self.loss.backward())
            self.optimizer.step()
            self.averages.add(len(batch), {"loss": value, **self._measure(prediction, yb)})
            bar.update()
        return self.averages.result()

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
            self.programs[size].play(now, lambda made: self._done(size, made))

    def _goes_on(self) -> bool:
        return self.path == "replayed" and not self.interrupt.asked

    def _step(self, size: int, step: Callable[[], None]) -> int:
        try:
            step()
        except CannotRecord as error:
            self.path = f"stepwise: {error}"
        self._done(size, 1)
        return 1

    def _done(self, size: int, steps: int) -> bool:
        """Count steps that are made; whether that was enough."""
        self.averages.samples += steps * size
        if self.metrics:
            program = self.programs[size]
            for name, value in self._measure(program.prediction.copy(), program.y.copy()).items():
                self.averages.sums[name] = self.averages.sums.get(name, 0.0) + size * value
        self.bar.update(steps)
        return self.interrupt.asked

    def _add_loss(self) -> None:
        if self.averages.samples:
            self.averages.sums = {"loss": float(self.data.sums[0]), **self.averages.sums}

    def _measure(self, prediction: Array, target: Array) -> dict[str, float]:
        prediction, target = np.asarray(prediction), np.asarray(target)  # on the host, wherever they are
        return {name: f(prediction, target) for name, f in self.metrics.items()}


def evaluate(
    net: Sequential,
    x: Array,
    y: Array,
    *,
    loss: Loss | None = None,
    metrics: tuple[str | Metric, ...] = (),
    batch_size: int = 256,
) -> dict[str, float]:
    """Loss and metrics over all samples in evaluation mode, each an average over samples; nothing is trained."""
    x, y = as_array(x), as_array(y)
    _check_lengths(x, y, "x and y")
    check_counts(1, batch_size)
    if loss is not None:
        _check_reduction(loss)
    checks, averages = named(metrics), _Averages()
    with _mode(net, training=False):
        for batch in _batches(np.arange(len(x)), batch_size):
            prediction, target = net.forward(x[batch]), y[batch]
            values = {"loss": float(loss.forward(prediction, target))} if loss else {}
            values |= {name: f(np.asarray(prediction), np.asarray(target)) for name, f in checks.items()}
            averages.add(len(batch), values)
    return averages.result()


def predict(net: Sequential, x: Array, batch_size: int = 256) -> Array:
    """The network's outputs for all samples, in evaluation mode, as one new array."""
    x = as_array(x)
    check_counts(1, batch_size)
    if not x.ndim or not len(x):
        raise ValueError(f"predict expects at least one sample, got shape {x.shape}")
    with _mode(net, training=False):
        return np.concatenate([net.forward(x[batch]) for batch in _batches(np.arange(len(x)), batch_size)])


def _batches(order: Array, size: int) -> Iterator[Array]:
    return (order[start : start + size] for start in range(0, len(order), size))


class _Averages:
    """Means over samples of values that come per batch."""

    def __init__(self) -> None:
        self.samples = 0
        self.sums: dict[str, float] = {}

    def add(self, samples: int, values: dict[str, float]) -> None:
        self.samples += samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + samples * value

    def result(self) -> dict[str, float]:
        return {name: value / self.samples for name, value in self.sums.items()}


@contextmanager
def _mode(net: Sequential, training: bool) -> Iterator[None]:
    before = [(module, module.training) for module in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


class Interrupt:
    """Ctrl-C as a wish that is looked at between batches; a second one interrupts at once. One inside another knows
    of the outer one's wish."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
            outer = getattr(self._before, "__self__", None)
            self.asked = isinstance(outer, Interrupt) and outer.asked
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def _bar(samples: int, batch_size: int, title: str, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=-(-samples // batch_size), desc=title, unit="batch", disable=not progress, dynamic_ncols=True)


def check_counts(epochs: int, batch_size: int) -> None:
    """ValueError unless both are integers of at least 1."""
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def _check_tools(net: Sequential, loss: Any, optimizer: Any, callbacks: Any) -> None:
    for name, value, kind, example in (
        ("loss", loss, Loss, "mb.MSELoss()"),
        ("optimizer", optimizer, Optimizer, "mb.SGD(net.parameters(), lr=0.1)"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"fit: {name} must be an object such as {example}, got {value!r}")
    own = {id(p.value) for p in net.parameters()}
    if not any(id(p.value) in own for p in optimizer.parameters):
        raise ValueError("fit: the optimizer holds no parameter of this network; build it with net.parameters()")
    if not isinstance(callbacks, (tuple, list)) or not all(map(callable, callbacks)):
        raise TypeError(f"fit: callbacks must be a tuple of functions, got {callbacks!r}")


def _pair(validation_data: Any) -> tuple[Array, Array]:
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ValueError(f"validation_data must be a pair (x, y), got a {type(validation_data).__name__}")
    return as_array(validation_data[0]), as_array(validation_data[1])


def _check_lengths(x: Array, y: Array, what: str) -> None:
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise ValueError(f"{what} must have as many samples, got shapes {x.shape} and {y.shape}")
    if not len(x):
        raise ValueError(f"{what} must have at least one sample, got shape {x.shape}")


def _check_reduction(loss: Loss) -> None:
    if loss.reduction == "none":
        raise ValueError(f"fit and evaluate need a loss that is one number, {loss} gives one per term")


def _check_data(net: Sequential, x: Array, y: Array, loss: Loss, metrics: dict[str, Metric], what: str) -> None:
    """Try one sample in evaluation mode, and look through all targets, before anything is changed."""
    _check_lengths(x, y, what)
    _check_reduction(loss)
    if x.dtype in FLOATS and not np.isfinite(x).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
        raise ValueError(f"{what}: x is {'NaN' if np.isnan(x[where]) else x[where]} at {where}")
    with _mode(net, training=False):
        prediction = net.forward(x[:1])
    loss.check(prediction, y)
    for metric in metrics.values():
        metric(np.asarray(prediction), np.asarray(y[:1]))
