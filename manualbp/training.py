"""Training: the loop of epochs and batches around forward, loss, backward and step.

An *epoch* goes through all samples once, a *batch* is what one step sees, an *iteration* is one step.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from manualbp_kernels import get_num_threads, set_num_threads
from manualbp_kernels.cpu.replay import listening

from .losses import Loss
from .metrics import Metric, named
from .optim import Optimizer
from .steps import Job, Steps, add, batches
from .types import FLOATS, Array, as_array

if TYPE_CHECKING:
    from .sequential import Sequential


class History:
    """What happened in each epoch: ``history["loss"]`` is a list with an entry per epoch.

    An epoch that Ctrl-C ended has no val_… : it is left out of those lists.

    Attributes:
        interrupted: whether Ctrl-C ended the training early.
        path: how the steps were run, "replayed" or "stepwise: " and why; the results are the same.
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}
        self.interrupted = False
        self.path = ""

    def add(self, epochs: Mapping[str, list[float]]) -> None:
        """Append epochs: under each name a value for each of them."""
        for name, values in epochs.items():
            self._columns.setdefault(name, []).extend(values)

    @property
    def epochs(self) -> list[dict[str, float]]:
        """One dictionary per epoch: loss, metrics, val_loss, val_… , seconds."""
        return [{name: values[i] for name, values in self._columns.items() if i < len(values)} for i in range(len(self))]

    def __getitem__(self, name: str) -> list[float]:
        if self._columns and name not in self._columns:
            raise KeyError(f"{name!r} was not recorded, only {', '.join(self._columns)}")
        return self._columns.get(name, [])

    def __len__(self) -> int:
        return len(self._columns.get("loss", ()))

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        content = {"interrupted": self.interrupted, "path": self.path, "epochs": self.epochs}
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.4g}" for name, value in self.epochs[-1].items()) if len(self) else "empty"
        return f"History({len(self)} epochs, {last}{', interrupted' if self.interrupted else ''})"


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
        progress: show a bar, one for each epoch; quick epochs that nobody looks into share one.

    Everything is checked before the first step: TypeError or ValueError leave all weights as they were. Ctrl-C ends
    the training after the batch at work; what was learned stays.
    """
    job = Job(
        net, x, y, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
        validation_data=validation_data, metrics=metrics, callbacks=callbacks, seed=seed,
    )  # fmt: skip
    with Interrupt() as interrupt:
        return _Training(job).run(interrupt, progress)


def fit_many(jobs: Iterable[Job], progress: bool = True) -> list[History]:
    """Train many networks side by side on all cores, each on one thread; returns their histories.

    ``fit_many([Job(net, x, y, loss=…, optimizer=…, epochs=…, seed=…) for net in …])``: seeds, hyper-parameters, folds. Each
    network ends as ``net.fit`` with these arguments would leave it, to the bit. What steps do in compiled code runs at the
    same time, what they do in Python takes turns.

    Each job needs a network, a loss and an optimizer of its own (ValueError); data may be shared. Callbacks are called from
    several threads. All jobs are checked before the first step. An error in one of them ends all, and Ctrl-C does too, each
    after the batch at work.
    """
    trainings = [_Training(job) for job in _apart(jobs)]
    threads = get_num_threads()
    set_num_threads(1)
    try:
        with Interrupt() as interrupt, listening(), ThreadPoolExecutor(threads) as pool:
            runs = [pool.submit(training.run, interrupt, False) for training in trainings]
            try:
                with _bar(len(runs), "fit_many", "network", progress) as bar:
                    for run in as_completed(runs):
                        run.result()
                        bar.update()
            except BaseException:
                interrupt.asked = True
                raise
    finally:
        set_num_threads(threads)
    return [run.result() for run in runs]


def _apart(jobs: Iterable[Job]) -> list[Job]:
    """The jobs; TypeError or ValueError if they are none, or share what a step writes to."""
    listed = list(jobs)
    owners: dict[int, int] = {}
    for i, job in enumerate(listed):
        if not isinstance(job, Job):
            raise TypeError(f"fit_many: expected a list of mb.Job(net, x, y, loss=…, optimizer=…), got {job!r} in it")
        for thing in (*job.net.modules(), job.loss, job.optimizer):
            if owners.setdefault(id(thing), i) != i:
                raise ValueError(
                    f"fit_many: jobs {owners[id(thing)]} and {i} share {thing}; each needs a network, a loss and an "
                    f"optimizer of its own"
                )
    return listed


class _Training:
    """A job that was looked through: nothing in it is wrong."""

    def __init__(self, job: Job) -> None:
        self.job, self.metrics = job, named(job.metrics)
        self.x, self.y = as_array(job.x), as_array(job.y)
        check_counts(job.epochs, job.batch_size)
        _check_tools(job.net, job.loss, job.optimizer, job.callbacks)
        _check_data(job.net, self.x, self.y, job.loss, self.metrics, "x and y")
        if job.validation_data is not None:
            self.held_out = _pair(job.validation_data)
            _check_data(job.net, *self.held_out, job.loss, self.metrics, "validation_data")

    def run(self, interrupt: Interrupt, progress: bool) -> History:
        job, history = self.job, History()
        with _mode(job.net, training=True):
            steps = Steps(job, self.x, self.y, self.metrics)
            while len(history) < job.epochs:
                count = steps.at_once(job.epochs - len(history))
                start = time.perf_counter()
                title = f"epoch {len(history) + count}/{job.epochs}"
                with _bar(count * steps.batches, title, "batch", progress) as bar:
                    averages = steps.epochs(count, bar, interrupt)
                    if job.validation_data is not None and not interrupt.asked:
                        scores = evaluate(job.net, *self.held_out, loss=job.loss, metrics=job.metrics)
                        averages |= {f"val_{name}": [value] for name, value in scores.items()}
                    bar.set_postfix({name: f"{values[-1]:.4g}" for name, values in averages.items() if values})
                history.interrupted, history.path = interrupt.asked, steps.path
                made = len(averages.get("loss", ()))
                if made:
                    each = round((time.perf_counter() - start) / made, 6)
                    history.add({**averages, "seconds": [each] * made})
                wishes = [callback(job.net, history) for callback in job.callbacks]
                if interrupt.asked or any(wishes):
                    break
        return history


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
    checks, sums = named(metrics), dict[str, float]()
    with _mode(net, training=False):
        for batch in batches(np.arange(len(x)), batch_size):
            prediction, target = net.forward(x[batch]), y[batch]
            values = {"loss": float(loss.forward(prediction, target))} if loss else {}
            values |= {name: f(np.asarray(prediction), np.asarray(target)) for name, f in checks.items()}
            add(sums, len(batch), values)
    return {name: value / len(x) for name, value in sums.items()}


def predict(net: Sequential, x: Array, batch_size: int = 256) -> Array:
    """The network's outputs for all samples, in evaluation mode, as one new array."""
    x = as_array(x)
    check_counts(1, batch_size)
    if not x.ndim or not len(x):
        raise ValueError(f"predict expects at least one sample, got shape {x.shape}")
    if len(x) <= batch_size and (quick := net.predictor(x)) is not None:
        return quick
    with _mode(net, training=False):
        return np.concatenate([net.forward(x[batch]) for batch in batches(np.arange(len(x)), batch_size)])


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


def _bar(total: int, title: str, unit: str, progress: bool) -> Any:
    if not progress:
        return _NoBar()
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit=unit, dynamic_ncols=True)


class _NoBar(nullcontext["_NoBar"]):
    """Shows nothing."""

    def __enter__(self) -> _NoBar:
        return self

    def update(self, steps: int = 1) -> None: ...

    def set_postfix(self, values: dict[str, str]) -> None: ...


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
