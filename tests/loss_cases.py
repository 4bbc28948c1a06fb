"""All losses and all optimizers with their options, and data to try them on. Names and options are PyTorch's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import manualbp as mb

Sample = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


class LossCase(NamedTuple):
    """A loss with options, and a function that draws a prediction and a target for it, in float64."""

    name: str
    options: dict[str, Any]
    sample: Sample

    def ours(self):
        return getattr(mb, self.name)(**self.options)

    def torchs(self, torch, dtype):
        return getattr(torch.nn, self.name)(**{
            key: torch.tensor(np.asarray(value, dtype)) if isinstance(value, list) else value
            for key, value in self.options.items()
        })  # fmt: skip

    def draw(self, dtype=np.float64, seed=0):
        """Prediction and target in ``dtype``; classes stay integers."""
        y, t = self.sample(np.random.default_rng(seed))
        return y.astype(dtype), t if t.dtype.kind == "i" else t.astype(dtype)

    def __str__(self):
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({options}) of {self.sample.__name__}"


class OptimizerCase(NamedTuple):
    """An optimizer with options."""

    name: str
    options: dict[str, Any]

    def ours(self, parameters):
        return getattr(mb, self.name)(parameters, **self.options)

    def torchs(self, torch, parameters):
        return getattr(torch.optim, self.name)(parameters, **self.options)

    def __str__(self):
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.options.items())})"


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def numbers(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


def blocks(rng):
    return 2 * rng.normal(size=(2, 3, 4)), 2 * rng.normal(size=(2, 3, 4))


def one_number(rng):
    return rng.normal(size=()), rng.normal(size=())


def yes_or_no(rng):
    return rng.uniform(0.05, 0.95, (5, 2)), rng.integers(0, 2, (5, 2)).astype(float)


def chances(rng):
    return rng.uniform(0.05, 0.95, (5,)), rng.uniform(size=(5,))


def logits(rng):
    return 3 * rng.normal(size=(6, 3)), rng.uniform(size=(6, 3))


def classes(rng):
    return 2 * rng.normal(size=(6, 5)), rng.integers(0, 5, 6)


def some_ignored(rng):
    return 2 * rng.normal(size=(6, 5)), np.array([1, -100, 4, 2, -100, 0])


def pixels(rng):
    return rng.normal(size=(3, 5, 2, 4)), rng.integers(0, 5, (3, 2, 4))


def shares(rng):
    return 2 * rng.normal(size=(6, 5)), rng.dirichlet(np.ones(5), 6)


def pixel_shares(rng):
    return rng.normal(size=(3, 5, 2, 4)), np.moveaxis(rng.dirichlet(np.ones(5), (3, 2, 4)), 3, 1).copy()


def log_classes(rng):
    x, t = classes(rng)
    return log_softmax(x), t


def log_pixels(rng):
    x, t = pixels(rng)
    return log_softmax(x), t


def log_some_ignored(rng):
    x, t = some_ignored(rng)
    return log_softmax(x), t


def distributions(rng):
    t = rng.dirichlet(np.ones(5), 6)
    t[0] = [0, 0, 1, 0, 0]
    return log_softmax(rng.normal(size=(6, 5))), t


def log_distributions(rng):
    return log_softmax(rng.normal(size=(6, 5))), np.log(rng.dirichlet(np.ones(5), 6))


REDUCTIONS = ("mean", "sum", "none")
WEIGHT = [0.5, 2.0, 1.0, 0.0, 3.0]

_OPTIONS: list[tuple[str, dict[str, Any], Sample]] = [
    ("MSELoss", {}, numbers),
    ("MSELoss", {}, one_number),
    ("L1Loss", {}, blocks),
    ("HuberLoss", {}, blocks),
    ("HuberLoss", {"delta": 0.3}, numbers),
    ("HuberLoss", {"delta": 5.0}, blocks),
    ("SmoothL1Loss", {}, blocks),
    ("SmoothL1Loss", {"beta": 0.4}, numbers),
    ("SmoothL1Loss", {"beta": 0.0}, numbers),
    ("BCELoss", {}, yes_or_no),
    ("BCELoss", {}, chances),
    ("BCEWithLogitsLoss", {}, logits),
    ("BCEWithLogitsLoss", {"pos_weight": [0.5, 1.0, 4.0]}, logits),
    ("CrossEntropyLoss", {}, classes),
    ("CrossEntropyLoss", {}, pixels),
    ("CrossEntropyLoss", {}, shares),
    ("CrossEntropyLoss", {"weight": WEIGHT}, classes),
    ("CrossEntropyLoss", {"weight": WEIGHT}, some_ignored),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.2}, pixel_shares),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.2, "ignore_index": 1}, pixels),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}, classes),
    ("CrossEntropyLoss", {"label_smoothing": 1.0}, some_ignored),
    ("NLLLoss", {}, log_classes),
    ("NLLLoss", {"ignore_index": 2}, log_pixels),
    ("NLLLoss", {"weight": WEIGHT}, log_some_ignored),
    ("KLDivLoss", {}, distributions),
    ("KLDivLoss", {"log_target": True}, log_distributions),
]

LOSSES = [
    LossCase(name, options | {"reduction": reduction}, sample)
    for name, options, sample in _OPTIONS
    for reduction in REDUCTIONS + ("batchmean",) * (name == "KLDivLoss")
]

OPTIMIZERS = [
    OptimizerCase("SGD", {}),
    OptimizerCase("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    OptimizerCase("SGD", {"lr": 0.05, "momentum": 0.9}),
    OptimizerCase("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}),
    OptimizerCase("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    OptimizerCase("Adam", {}),
    OptimizerCase("Adam", {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    OptimizerCase("AdamW", {}),
    OptimizerCase("AdamW", {"lr": 0.05, "betas": (0.8, 0.99), "weight_decay": 0.2}),
    OptimizerCase("RMSprop", {}),
    OptimizerCase("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.05}),
    OptimizerCase("RMSprop", {"lr": 0.02, "alpha": 0.8, "eps": 1e-4, "centered": True}),
    OptimizerCase("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.05}),
    OptimizerCase("Adagrad", {}),
    OptimizerCase("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.2, "eps": 1e-4}),
]
