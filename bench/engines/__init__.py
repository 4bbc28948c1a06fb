"""The engines. Each file here has, for the kinds of work that it can do, a function of that kind's name:

    operation(work)   training_step(work)   whole_run(work)   prediction(work)   → Running

A further engine, or another way to use one, is a further file and a line in ``TITLES``. ``cuda.py`` and ``torch_cuda.py`` are
used by ``test_cuda.py`` alone: they have a ``clock`` of their own, the GPU's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from ..works import STEPS_COMPARED, Arrays, Work

TITLES = {"manualbp": "manualbp", "torch": "PyTorch", "jax": "JAX", "sklearn": "scikit-learn", "numpy": "NumPy"}
REFERENCE = "reference"  # not timed: what the others must agree with


class Running(NamedTuple):
    """A work in an engine's hands.

    Attributes:
        step: does it once; all is done when it returns. Training goes on from the weights that the last one left.
        result: the weights as they are now, or the arrays that an operation computes, as NumPy arrays.
    """

    step: Callable[[], object]
    result: Callable[[], Arrays]


class Unable(Exception):
    """The engine has no way to do this work."""


def load(engine: str) -> ModuleType:
    return import_module(f"{__name__}.{engine}")


def prepare(engine: str, work: Work) -> Running:
    """``work``, with its data and initial weights, ready for its first step. Unable, or ImportError without the engine."""
    make = getattr(load(engine), work.kind, None)
    if make is None:
        raise Unable(f"{engine} does no {work.kind.replace('_', ' ')}")
    running: Running = make(work)
    return running


def compared(running: Running, work: Work) -> Arrays:
    """What is compared between engines: the result after the first steps (a whole run is steps enough)."""
    for _ in range(STEPS_COMPARED if work.steps == 1 else 1):
        running.step()
    return running.result()
