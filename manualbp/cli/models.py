"""The networks that ``manualbp train`` can build, by name and by the size of the images."""

from __future__ import annotations

from ..examples.cnn import network as seed_cnn
from ..layers import GRU, Conv2d, Dropout, Flatten, LastStep, Linear, MaxPool2d, ReLU, Reshape
from ..sequential import Sequential


def build(model: str, height: int, width: int, classes: int) -> Sequential:
    """A classifier of (N, 1, height, width) images. ValueError for an unknown model or too small an image."""
    if min(height, width) < 4:
        raise ValueError(f"images must be at least 4×4 pixels, got {height}×{width}")
    if model == "cnn" and (height, width) == (28, 28):
        return seed_cnn(classes)
    if model == "cnn":
        return Sequential(
            Conv2d(1, 32, 3, padding=1), ReLU(), Conv2d(32, 64, 3, padding=1), ReLU(), MaxPool2d(2),
            Flatten(), Dropout(0.5), Linear(64 * (height // 2) * (width // 2), 64), ReLU(), Linear(64, classes),
        )  # fmt: skip
    if model == "mlp":
        return Sequential(Flatten(), Linear(height * width, 128), ReLU(), Dropout(0.2), Linear(128, classes))
    if model == "rnn":  # a row of pixels is a time step
        return Sequential(Reshape(height, width), GRU(width, 128, batch_first=True), LastStep(True), Linear(128, classes))
    raise ValueError(f"model must be cnn, mlp or rnn, got {model!r}")
