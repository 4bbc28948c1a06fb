"""The networks that ``manualbp explain`` shows: each a step small enough to be followed by hand."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from ..layers import LSTM, RNN, Conv2d, Flatten, LastStep, Linear, ReLU
from ..losses import MSELoss
from ..random import manual_seed
from ..sequential import Sequential
from .trace import Explanation, explain


def worked() -> Explanation:
    """The 2-2-2 sigmoid network of examples/worked.py."""
    example = import_module("manualbp.examples.worked")
    return explain(example.network(), example.X, example.T, MSELoss(), 0.5)


def xor() -> Explanation:
    """The first step of XOR: 2-3-1, all four points at once."""
    example = import_module("manualbp.examples.xor")
    manual_seed(0)
    return explain(Sequential(Linear(2, 3), ReLU(), Linear(3, 1)), example.X, example.Y, MSELoss(), 0.1)


def conv() -> Explanation:
    """A 4×4 image, one 3×3 filter, ReLU, one number."""
    manual_seed(0)
    image = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1], [1, 0, 0, 1]], np.float32)
    net = Sequential(Conv2d(1, 1, 3), ReLU(), Flatten(), Linear(4, 1))
    return explain(net, image[None, None], np.ones((1, 1), np.float32), MSELoss(), 0.1)


def rnn() -> Explanation:
    """Three steps of an Elman network with two units."""
    manual_seed(0)
    x = np.array([[[1, 0], [0, 1], [1, 1]]], np.float32)
    net = Sequential(RNN(2, 2, batch_first=True), LastStep(batch_first=True), Linear(2, 1))
    return explain(net, x, np.ones((1, 1), np.float32), MSELoss(), 0.1)


def lstm() -> Explanation:
    """An LSTM cell with two units reads two steps, so that its forget gate has something to forget."""
    manual_seed(0)
    x = np.array([[[1.0, 0.5]], [[-0.5, 1.0]]], np.float32)
    return explain(Sequential(LSTM(2, 2)), x, np.array([[[0.5, -0.5]], [[1.0, 0.0]]], np.float32), MSELoss(), 0.1)


EXAMPLES: dict[str, Callable[[], Explanation]] = {"worked": worked, "xor": xor, "conv": conv, "rnn": rnn, "lstm": lstm}
