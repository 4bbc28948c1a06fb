"""What is timed: every work once, with its sizes, its data and its initial weights as NumPy arrays.

A work knows nothing of engines. There are four kinds:

operation      one array operation, such as a matrix product
training_step  forward, loss, backward and update on one batch, called from Python
whole_run      many such steps, each on a batch of its own, in one call: nothing of Python between them, for who can
prediction     forward alone

A new work is one line in ``WORKS``; one of a new kind is a class here and a function of its name in the engines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = dict[str, Array]
Shape = tuple[int, ...]


# ---------------------------------------------------------------------- networks: PyTorch's names and arguments


class Linear(NamedTuple):
    in_features: int
    out_features: int


class Conv2d(NamedTuple):
    in_channels: int
    out_channels: int
    kernel_size: int = 3
    padding: int = 1


class MaxPool2d(NamedTuple):
    kernel_size: int = 2


class Flatten(NamedTuple):
    pass


class ReLU(NamedTuple):
    pass


class Sigmoid(NamedTuple):
    pass


class RNN(NamedTuple):
    input_size: int
    hidden_size: int
    batch_first: bool = True


class LSTM(NamedTuple):
    input_size: int
    hidden_size: int
    batch_first: bool = True


class GRU(NamedTuple):
    input_size: int
    hidden_size: int
    batch_first: bool = True


class LastStep(NamedTuple):
    """(N, T, H) → (N, H), the last of the T outputs."""

    batch_first: bool = True


Layers = tuple[Any, ...]
Recurrent = RNN | LSTM | GRU
GATES = {RNN: 1, LSTM: 4, GRU: 3}


def shapes(layer: Any) -> dict[str, Shape]:
    """The parameters of a layer, under PyTorch's names and with PyTorch's shapes."""
    match layer:
        case Linear(i, o):
            return {"weight": (o, i), "bias": (o,)}
        case Conv2d(i, o, k):
            return {"weight": (o, i, k, k), "bias": (o,)}
        case RNN(d, h) | LSTM(d, h) | GRU(d, h):
            g = GATES[type(layer)] * h
            return {"weight_ih_l0": (g, d), "weight_hh_l0": (g, h), "bias_ih_l0": (g,), "bias_hh_l0": (g,)}
    return {}


# ---------------------------------------------------------------------- the kinds of work


@dataclass(frozen=True)
class Operation:
    """The operation that engines know as ``call``, on arrays of these shapes."""

    kind: ClassVar[str] = "operation"
    steps: ClassVar[int] = 1
    name: str
    title: str
    group: str
    call: str
    shapes: Mapping[str, Shape]
    dtype: str = "float32"
    flops: int = 0

    def inputs(self) -> Arrays:
        rng = np.random.default_rng(0)
        return {name: rng.standard_normal(shape).astype(self.dtype) for name, shape in self.shapes.items()}

    def weights(self) -> Arrays:
        return {}


@dataclass(frozen=True)
class TrainingStep:
    """A step of ``optimizer`` at rate ``lr``, all else as PyTorch's defaults, on a batch of samples of shape ``sample``.

    ``CrossEntropyLoss`` has classes as targets, ``MSELoss`` numbers, as many as the last layer has outputs.
    """

    kind: ClassVar[str] = "training_step"
    name: str
    title: str
    layers: Layers
    sample: Shape
    batch: int
    loss: str = "CrossEntropyLoss"
    optimizer: str = "SGD"
    lr: float = 0.01
    corners: bool = False  # the batch is the four points of XOR
    steps: int = field(default=1, kw_only=True)
    group: str = field(default="training steps", kw_only=True)

    def data(self) -> tuple[Array, Array]:
        """x (steps, batch, …) and its targets, (steps, batch) classes or (steps, batch, outputs) numbers."""
        if self.corners:
            points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
            answers = np.array([[0], [1], [1], [0]], np.float32)
            return np.tile(points, (self.steps, 1, 1)), np.tile(answers, (self.steps, 1, 1))
        rng = np.random.default_rng(0)
        x = rng.random((self.steps, self.batch, *self.sample), np.float32)
        if self.loss == "CrossEntropyLoss":
            return x, rng.integers(0, self.outputs, x.shape[:2])
        return x, rng.random((*x.shape[:2], self.outputs), np.float32)

    @property
    def outputs(self) -> int:
        return next(int(layer.out_features) for layer in reversed(self.layers) if isinstance(layer, Linear))

    def weights(self) -> Arrays:
        """The initial weights under PyTorch's names, "0.weight" and so on, uniform in ±1/√(inputs of a neuron)."""
        rng = np.random.default_rng(1)
        drawn = {}
        for i, layer in enumerate(self.layers):
            parameters = shapes(layer)
            reach = 1 / math.sqrt(math.prod(next(iter(parameters.values()), (1,))[1:]))
            for name, shape in parameters.items():
                drawn[f"{i}.{name}"] = rng.uniform(-reach, reach, shape).astype(np.float32)
        return drawn


@dataclass(frozen=True)
class WholeRun(TrainingStep):
    """``steps`` training steps, each on a batch of its own, as one call. Its time is quoted per step."""

    kind: ClassVar[str] = "whole_run"
    steps: int = field(default=1000, kw_only=True)
    group: str = field(default="whole runs", kw_only=True)


@dataclass(frozen=True)
class Prediction(TrainingStep):
    """The outputs for one batch, from the initial weights; loss and optimizer play no part."""

    kind: ClassVar[str] = "prediction"
    group: str = field(default="predictions", kw_only=True)


Work = Operation | TrainingStep


# ---------------------------------------------------------------------- agreement

STEPS_COMPARED = 3
TOLERANCE = 1e-3  # of the length of the change that the steps made: rounding makes up to 1e-4, a forgotten bias 0.1


def apart(work: Work, result: Arrays, expected: Arrays) -> float:
    """How far two results differ: |a − e| / |e − start| of the array where it is largest. Missing arrays: infinity."""
    start = work.weights()
    if result.keys() != expected.keys():
        return math.inf
    return max(_distance(result[name], e, start.get(name, np.zeros(1))) for name, e in expected.items())


def _distance(a: Array, e: Array, start: Array) -> float:
    if a.shape != e.shape:
        return math.inf
    distance = float(np.linalg.norm((a.astype(np.float64) - e).ravel()))
    way = float(np.linalg.norm((e.astype(np.float64) - start).ravel()))
    return math.inf if math.isnan(distance) else distance / way if way else distance


# ---------------------------------------------------------------------- networks


def xor(make: type[TrainingStep] = TrainingStep, **options: Any) -> TrainingStep:
    layers = (Linear(2, 10), ReLU(), Linear(10, 1))
    return make(
        layers=layers, sample=(2,), batch=4, loss="MSELoss", lr=0.1, corners=True,
        **{"name": "xor-4", "title": "XOR 2-10-1, batch 4"} | options,
    )  # fmt: skip


def mlp(batch: int, width: int = 128) -> TrainingStep:
    name = f"mlp-{batch}" + (f"-width-{width}" if width != 128 else "")
    layers = (Linear(784, width), ReLU(), Linear(width, 10))
    return TrainingStep(name, f"MLP 784-{width}-10, batch {batch}", layers, (784,), batch)


def wide(batch: int) -> TrainingStep:
    layers = (Linear(1024, 1024), ReLU(), Linear(1024, 1024), ReLU(), Linear(1024, 10))
    title = f"MLP 1024-1024-1024-10, batch {batch}, Adam"
    return TrainingStep(f"wide-{batch}", title, layers, (1024,), batch, optimizer="Adam", lr=0.001)


def cnn(batch: int, side: int = 28) -> TrainingStep:
    """The network of manualbp.examples.cnn on images of side × side pixels."""
    layers = (
        Conv2d(1, 32), ReLU(), MaxPool2d(), Conv2d(32, 64), ReLU(), MaxPool2d(),
        Flatten(), Linear(64 * (side // 4) ** 2, 128), ReLU(), Linear(128, 10),
    )  # fmt: skip
    name = f"cnn-{batch}" + (f"-side-{side}" if side != 28 else "")
    return TrainingStep(name, f"CNN {side}×{side}, conv 32, conv 64, 128, 10, batch {batch}", layers, (1, side, side), batch)


def recurrent(make: type[Recurrent], batch: int = 64, length: int = 28) -> TrainingStep:
    """An image read row by row, and named after the last row."""
    kind = make.__name__
    name = f"{kind.lower()}-{batch}" + (f"-length-{length}" if length != 28 else "")
    title = f"{kind} 28→128 over {length} steps, last → 10, batch {batch}"
    return TrainingStep(name, title, (make(28, 128), LastStep(), Linear(128, 10)), (length, 28), batch)


POLICY: Layers = (Linear(4, 64), ReLU(), Linear(64, 64), ReLU(), Linear(64, 2))


def policy_run(batch: int) -> WholeRun:
    return WholeRun(f"run-policy-{batch}", f"policy 4-64-64-2, batch {batch}", POLICY, (4,), batch)


def rnn_run(length: int) -> WholeRun:
    layers, title = (RNN(10, 5), LastStep(), Linear(5, 1)), f"RNN 10-5-1 over {length} steps, batch 1"
    return WholeRun(f"run-rnn-{length}", title, layers, (length, 10), 1, loss="MSELoss")


# ---------------------------------------------------------------------- operations


def matmul(m: int, n: int | None = None, k: int | None = None, dtype: str = "float32") -> Operation:
    """C (m, n) = A (m, k) B (k, n)"""
    n, k = n or m, k or m
    sizes = f"{m}" if m == n == k else f"{m}x{n}x{k}"
    name = f"matmul-{sizes}" + ("-f64" if dtype == "float64" else "")
    group, arrays = f"matrix products, {dtype}", {"A": (m, k), "B": (k, n)}
    return Operation(name, sizes.replace("x", " × "), group, "matmul", arrays, dtype, flops=2 * m * n * k)


UPDATE_RATE = 0.1  # of the optimizers among the kernels
kernel = partial(Operation, group="kernels")
IMAGE, SMALL, HALF, FILTERS = (32, 32, 28, 28), (32, 32, 14, 14), (32, 64, 14, 14), (64, 32, 3, 3)
MILLION = (1024, 1024)

MATRICES = (
    *(matmul(n) for n in (32, 64, 128, 129, 256, 257, 512, 1024, 2048)),
    matmul(25088, 64, 288),
    matmul(64, 784, 128),
    *(matmul(n, dtype="float64") for n in (64, 256, 1024)),
)
KERNELS = (
    kernel("conv2d", "convolution 3×3, 32 → 64 channels, 14×14, batch 32", call="conv2d",
           shapes={"x": SMALL, "W": FILTERS, "b": (64,)}),
    kernel("conv2d_input_gradient", "… its input's gradient", call="conv2d_input_gradient",
           shapes={"dy": HALF, "W": FILTERS}),
    kernel("conv2d_weight_gradient", "… its weights' gradient", call="conv2d_weight_gradient",
           shapes={"x": SMALL, "dy": HALF}),
    kernel("max_pool2d", "max pooling 2×2 of 32×28×28, batch 32", call="max_pool2d", shapes={"x": IMAGE}),
    kernel("max_pool2d_backward", "… its gradient", call="max_pool2d_backward", shapes={"x": IMAGE, "dy": SMALL}),
    kernel("softmax", "softmax, 256 rows of 1000", call="softmax", shapes={"x": (256, 1000)}),
    kernel("add", "a + b, a million", call="add", shapes={"a": MILLION, "b": MILLION}),
    kernel("relu", "ReLU, a million", call="relu", shapes={"x": MILLION}),
    kernel("tanh", "tanh, a million", call="tanh", shapes={"x": MILLION}),
    kernel("gelu", "GELU, a million", call="gelu", shapes={"x": MILLION}),
    kernel("sgd", "SGD, a million parameters", call="sgd", shapes={"p": MILLION, "g": MILLION}),
    kernel("adam", "Adam, a million parameters", call="adam", shapes={"p": MILLION, "g": MILLION}),
)  # fmt: skip
STEPS = (
    xor(),
    *(mlp(n) for n in (1, 64, 256)),
    wide(256),
    *(cnn(n) for n in (1, 32, 128)),
    *(recurrent(make) for make in (RNN, LSTM, GRU)),
)
RUNS = (
    xor(WholeRun, name="run-xor-4"),
    WholeRun("run-mlp-1", "MLP 10-5-1, batch 1", (Linear(10, 5), ReLU(), Linear(5, 1)), (10,), 1, loss="MSELoss"),
    WholeRun("run-worked-1", "2-2-2 with sigmoids, batch 1", (Linear(2, 2), Sigmoid(), Linear(2, 2), Sigmoid()), (2,), 1,
             loss="MSELoss", lr=0.5),
    policy_run(1),
    policy_run(32),
    rnn_run(1),
    rnn_run(8),
)  # fmt: skip
PREDICTIONS = (
    Prediction("predict-policy-1", "policy 4-64-64-2", POLICY, (4,), 1),
    Prediction("predict-mlp-1", "MLP 784-128-10", mlp(1).layers, (784,), 1),
)
WORKS: tuple[Work, ...] = (*STEPS, *RUNS, *PREDICTIONS, *MATRICES, *KERNELS)
HEADLINES = ("xor-4", "mlp-1", "mlp-64", "wide-256", "cnn-1", "cnn-32", "cnn-128", "rnn-64", "lstm-64", "gru-64")
