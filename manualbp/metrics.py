"""Metrics: numbers to watch beside the loss. A metric is a function of predictions and targets that gives a float,
an average over samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .types import FLOATS, Array

Metric = Callable[[Array, Array], float]


def accuracy(prediction: Array, target: Array) -> float:
    """The share of samples whose largest output is the target's class.

    ``prediction`` (N, K, …), K ≥ 2; ``target`` (N, …) classes or (N, K, …) probabilities. ValueError for other shapes.
    """
    if prediction.ndim < 2 or prediction.shape[1] < 2:
        raise ValueError(f"accuracy expects one output per class, (N, K) with K ≥ 2, got {prediction.shape}")
    if target.dtype in FLOATS and target.shape == prediction.shape:
        target = target.argmax(axis=1)
    if target.shape != (prediction.shape[0], *prediction.shape[2:]):
        raise ValueError(f"accuracy expects a class for each column of {prediction.shape}, got {target.shape}")
    return float(np.mean(prediction.argmax(axis=1) == target))


METRICS: dict[str, Metric] = {"accuracy": accuracy}


def named(metrics: Iterable[str | Metric]) -> dict[str, Metric]:
    """Metrics by name; ValueError for a name that is not known."""
    found: dict[str, Metric] = {}
    for metric in (metrics,) if isinstance(metrics, str) else metrics:
        if not callable(metric) and metric not in METRICS:
            raise ValueError(f"metric must be a function or one of {', '.join(METRICS)}, got {metric!r}")
        if isinstance(metric, str):
            found[metric] = METRICS[metric]
        else:
            found[getattr(metric, "__name__", type(metric).__name__)] = metric
    return found


def confusion(prediction: Array, target: Array) -> Array:
    """The (K, K) table of counts: row the true class, column the predicted one. ``prediction`` (N, K), ``target`` (N,)."""
    K = prediction.shape[1]
    return np.bincount(K * target + prediction.argmax(axis=1), minlength=K * K).reshape(K, K)
