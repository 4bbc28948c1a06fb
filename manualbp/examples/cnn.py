"""A convolutional network reads handwritten digits of 28×28 pixels."""

from __future__ import annotations

import math
from pathlib import Path

import manualbp as mb
from manualbp.data import digits, enlarge, load


def network(classes: int = 10) -> mb.Sequential:
    # Mended: padding 1 keeps 28×28, two poolings halve it to 14×14 and 7×7, so the first Linear must expect
    # 64 · 7 · 7 = 3136 numbers; in the tutorial the shapes do not meet here.
    return mb.Sequential(
        mb.Conv2d(1, 32, kernel_size=3, padding=1), mb.ReLU(), mb.MaxPool2d(2),
        mb.Conv2d(32, 64, kernel_size=3, padding=1), mb.ReLU(), mb.MaxPool2d(2),
        mb.Flatten(),
        mb.Linear(3136, 128), mb.ReLU(), mb.Linear(128, classes),
    )  # fmt: skip


def cnn(epochs: int = 10, seed: int = 0, path: str | Path | None = None) -> float:
    """Train with cross-entropy and gradient descent at rate 0.01; returns the accuracy on held-out digits.

    Reads MNIST's files in ``path``; without, the package's 8×8 digits, enlarged to 28×28.
    """
    mb.manual_seed(seed)
    dataset = load(path) if path else digits(seed=seed)
    x_train, x_test = (dataset.x_train, dataset.x_test) if path else (enlarge(dataset.x_train), enlarge(dataset.x_test))
    if x_train.shape[1:] != (1, 28, 28):
        raise ValueError(f"the cnn example reads images of 28×28 pixels, got {x_train.shape[2]}×{x_train.shape[3]}")
    net = network(dataset.classes)
    history = net.fit(
        x_train, dataset.y_train, loss=mb.CrossEntropyLoss(), optimizer=mb.SGD(net.parameters(), lr=0.01),
        epochs=epochs, batch_size=8, validation_data=(x_test, dataset.y_test), metrics=("accuracy",), seed=seed,
    )  # fmt: skip
    for epoch, row in enumerate(history.epochs, 1):
        print(f"epoch {epoch:2}/{epochs}  loss {row['loss']:.4f}  test accuracy {row.get('val_accuracy', math.nan):.2%}")
    return net.evaluate(x_test, dataset.y_test, metrics=("accuracy",))["accuracy"]
