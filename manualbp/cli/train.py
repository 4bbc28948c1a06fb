"""``manualbp train``: from a data set to weights, a history and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import optim
from ..checkpoint import save_weights
from ..data import Dataset, digits, load
from ..layer import integer
from ..losses import CrossEntropyLoss
from ..metrics import confusion
from ..random import manual_seed
from ..sequential import Sequential
from ..training import History, Interrupt, check_counts
from .models import build
from .report import print_confusion, save_picture

OPTIMIZERS = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop, "adagrad": optim.Adagrad}


def train(
    model: str,
    path: Path | None,
    epochs: int,
    batch_size: int,
    optimizer: str,
    lr: float | None,
    seed: int,
    out: Path,
    backend: str,
) -> History:
    """Train, validate, and write weights.safetensors, history.json and digits.png into ``out``.

    Ctrl-C, from the first line on, ends the training after the batch at work; the files are written all the same.
    """
    from manualbp_kernels import backend as running_on

    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file, name a folder")
    check_counts(epochs, batch_size)
    integer(seed, "--seed", 0)
    dataset = load(path) if path else digits(seed=seed)
    manual_seed(seed)
    _, _, height, width = dataset.x_train.shape
    net = build(model, height, width, dataset.classes)
    rate = lr if lr is not None else 0.02 if optimizer in ("sgd", "adagrad") else 0.002
    update = OPTIMIZERS[optimizer](net.parameters(), lr=rate)
    out.mkdir(parents=True, exist_ok=True)  # before the training, not after it: where it fails nothing is lost
    with running_on(backend), Interrupt():
        print(f"{len(dataset.x_train):,} images to learn from, {len(dataset.x_test):,} held out, {height}×{width} pixels")
        print(net.summary((1, 1, height, width)))
        history = net.fit(
            dataset.x_train,
            dataset.y_train,
            loss=CrossEntropyLoss(),
            optimizer=update,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=(dataset.x_test, dataset.y_test),
            metrics=("accuracy",),
            callbacks=(cool_down(update, epochs),),
            seed=seed,
        )
        _write(net, model, dataset, history, out)
    return history


def cool_down(optimizer: optim.Optimizer, epochs: int, begin: float = 0.5, end: float = 0.05):  # type: ignore[no-untyped-def]
    """A callback: after the share ``begin`` of the epochs the learning rate falls in a line to the share ``end`` of it."""
    full = optimizer.lr  # type: ignore[attr-defined]

    def adjust(net: Sequential, history: History) -> None:
        along = max(0.0, (len(history) / epochs - begin) / (1 - begin))
        optimizer.lr = full * (1 - (1 - end) * along)  # type: ignore[attr-defined]

    return adjust


def _write(net: Sequential, model: str, dataset: Dataset, history: History, out: Path) -> None:
    """What was learned, into the folder, and how well, to the terminal; also after an interruption."""
    _, _, height, width = dataset.x_train.shape
    about = {"model": model, "height": str(height), "width": str(width), "classes": str(dataset.classes)}
    save_weights(net, out / "weights.safetensors", about)
    history.save(out / "history.json")
    prediction = net.predict(dataset.x_test)
    counts = confusion(prediction, dataset.y_test)
    print_confusion(counts)
    drawn = save_picture(out / "digits.png", history, dataset.x_test, dataset.y_test, prediction)
    if history.interrupted:
        print("interrupted: what was learned so far is kept")
    print(f"accuracy on held-out images: {np.trace(counts) / counts.sum():.2%}")
    print(f"written to {out}/: weights.safetensors, history.json{', digits.png' if drawn else ''}")
    if not drawn:
        print('no picture: matplotlib is not installed, pip install "manualbp[plot]"')
