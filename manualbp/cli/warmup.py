"""``manualbp warmup``: compile every kernel and keep it on disk.

There is no list of signatures: each layer, loss and optimizer is made to take one step, and Numba compiles what it calls.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from manualbp_kernels import KERNELS, backend
from manualbp_kernels.cpu.jit import kernel_folder
from manualbp_kernels.cpu.replay import Tape, recording

from .. import layers, losses, optim
from ..layer import Layer
from ..losses import Loss
from ..optim import Optimizer
from ..program import Data
from ..sequential import Sequential
from ..types import Array, DTypeLike, Shape

BATCH, SEQUENCES, IMAGES = (8, 3), (2, 5, 3), (2, 4, 8, 8)
ELEMENTWISE = (
    layers.ReLU, layers.LeakyReLU, layers.ELU, layers.SELU, layers.Sigmoid, layers.Tanh, layers.Softplus, layers.SiLU,
    layers.GELU, lambda: layers.GELU("tanh"), layers.Softmax, layers.LogSoftmax, layers.Dropout,
)  # fmt: skip
RECURRENT = layers.RNN, layers.LSTM, layers.GRU
REGRESSION = losses.MSELoss, losses.L1Loss, losses.SmoothL1Loss, losses.HuberLoss
PROBABILITY = losses.BCELoss, losses.BCEWithLogitsLoss, losses.KLDivLoss
OPTIMIZERS: tuple[Callable[..., Optimizer], ...] = optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad


def warmup(float64: bool = False) -> int:
    """Compile for float32, and for float64 if asked; returns how many kernels were not on disk yet.

    A kernel counts once for each combination of argument types. OSError if there is no folder to keep them in.
    """
    from tqdm import tqdm

    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise ValueError("NUMBA_DISABLE_JIT is set, nothing is compiled")
    folder = _writable(kernel_folder())
    start = time.perf_counter()
    work = [step for dtype in (("float32", "float64") if float64 else ("float32",)) for step in steps(dtype)]
    _, before = _count()
    with backend("fast"), tqdm(work, unit="step", dynamic_ncols=True) as bar:
        for name, step in bar:
            bar.set_description(f"{name:<20}")
            with recording() as calls:
                step()
            Tape(calls).play(0)  # compiles what a replay of these calls needs
    kernels, compiled = _count()
    new, seconds = compiled - before, time.perf_counter() - start
    print(f"{kernels} kernels: {f'{new} compiled' if new else 'all were there'}, {seconds:.1f} s")
    print(f"kept in {folder}")
    return new


def steps(dtype: DTypeLike) -> Iterator[tuple[str, Callable[[], None]]]:
    """One step, by name, of every layer, loss and optimizer, in each form that calls a kernel with other types."""
    for layer, shape in example_layers():
        yield _name(layer), partial(_layer_step, layer, shape, dtype)
    for loss, target in _losses(dtype):
        yield _name(loss), partial(_loss_step, loss, target, dtype)
    for optimizer in OPTIMIZERS:
        yield optimizer.__name__, partial(_update, optimizer, dtype)
    for target in (np.zeros((4, 1), dtype), np.zeros(4, np.int64)):
        yield "fit", partial(_take_batch, np.zeros((4, 2), dtype), target)


def example_layers() -> Iterator[tuple[Layer, Shape]]:
    """Every layer, once or more, with a shape of x that fits."""
    for make in ELEMENTWISE:
        for shape in (BATCH, SEQUENCES, IMAGES):
            yield make(), shape
    for bias in (True, False):
        for shape in (BATCH, SEQUENCES):
            yield layers.Linear(3, 4, bias), shape
        yield layers.Conv1d(5, 4, 3, bias=bias), SEQUENCES
        yield layers.Conv2d(4, 4, 3, bias=bias), IMAGES
        for recurrent in RECURRENT:
            yield recurrent(3, 4, 2, bias=bias, batch_first=True, dropout=0.5, bidirectional=True), SEQUENCES
    for pool in (layers.MaxPool2d(2), layers.AvgPool2d(2), layers.GlobalAvgPool2d(), layers.Flatten()):
        yield pool, IMAGES
    yield layers.Reshape(3, 1), BATCH
    for batch_first in (True, False):
        yield layers.LastStep(batch_first), SEQUENCES


def _losses(dtype: DTypeLike) -> Iterator[tuple[Loss, Array]]:
    """Losses with targets; a prediction has the target's shape, or one axis more where that is classes."""
    for make in (*REGRESSION, *PROBABILITY):
        for shape in (BATCH, SEQUENCES, IMAGES):
            for reduction in ("mean", "none"):
                yield make(reduction), np.full(shape, 0.5, dtype)
    for reduction in ("mean", "none"):
        yield losses.CrossEntropyLoss(reduction=reduction), np.full(BATCH, 0.5, dtype)
        yield losses.CrossEntropyLoss(reduction=reduction), np.zeros(BATCH[0], np.int64)
        yield losses.NLLLoss(reduction=reduction), np.zeros(BATCH[0], np.int64)


def _layer_step(layer: Layer, shape: Shape, dtype: DTypeLike) -> None:
    net = Sequential(layer).astype(dtype)
    y = net(np.ones(shape, dtype))
    net.zero_grad()
    net.backward(np.ones_like(y))
    for _ in range(2):  # the second time by a program
        net.predict(np.ones(shape, dtype))


def _loss_step(loss: Loss, target: Array, dtype: DTypeLike) -> None:
    classes = target.dtype == np.int64
    l = loss(np.full(BATCH if classes else target.shape, 0.5, dtype), target)
    loss.backward(np.ones_like(l) if loss.reduction == "none" else None)


def _update(optimizer: Callable[..., Optimizer], dtype: DTypeLike) -> None:
    update = optimizer(layers.Linear(2, 2, dtype=dtype).parameters())
    update.zero_grad()
    update.step()


def _take_batch(x: Array, y: Array) -> None:
    data = Data(x, y)
    data.take(*data.buffers(2))
    data.note(losses.MSELoss(), 2)


def _name(thing: Layer | Loss) -> str:
    return type(thing).__name__


def _count() -> tuple[int, int]:
    """How many kernels this process has, each with its types, and how many of them it compiled itself."""
    dispatchers = [kernel.form("cpu").dispatcher for kernel in KERNELS.values()]  # type: ignore[attr-defined]
    return sum(len(d.signatures) for d in dispatchers), sum(sum(d.stats.cache_misses.values()) for d in dispatchers)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise OSError(
            f"no place to keep compiled kernels, {folder} cannot be written to ({error.strerror}): "
            f"set NUMBA_CACHE_DIR to a folder that can"
        ) from None
