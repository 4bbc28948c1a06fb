"""manualbp: a neural-network engine whose every derivative is written by hand and can be read."""

from manualbp_kernels import backend, get_backend, get_num_threads, set_backend, set_num_threads

from . import init, layers, losses, optim
from .checkpoint import load_weights, save_weights
from .device import to_device
from .gradcheck import gradcheck
from .layer import Layer
from .layers import *  # noqa: F403
from .losses import *  # noqa: F403
from .optim import *  # noqa: F403
from .parameter import Parameter, Weight
from .program import Program, record, run_many
from .random import manual_seed
from .sequential import Sequential
from .version import __version__

__all__ = [
    "Layer",
    "Parameter",
    "Program",
    "Sequential",
    "Weight",
    "__version__",
    "backend",
    "get_backend",
    "get_num_threads",
    "gradcheck",
    "init",
    "load_weights",
    "manual_seed",
    "record",
    "run_many",
    "save_weights",
    "set_backend",
    "set_num_threads",
    "to_device",
    *layers.__all__,
    *losses.__all__,
    *optim.__all__,
]
