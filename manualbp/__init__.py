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
from .program import Program, record
from .random import manual_seed
from .sequential import Sequential
from .steps import Job
from .training import fit_many
from .version import __version__

__all__ = [
    "Job",
    "Layer",
    "Parameter",
    "Program",
    "Sequential",
    "Weight",
    "__version__",
    "backend",
    "fit_many",
    "get_backend",
    "get_num_threads",
    "gradcheck",
    "init",
    "load_weights",
    "manual_seed",
    "record",
    "save_weights",
    "set_backend",
    "set_num_threads",
    "to_device",
    *layers.__all__,
    *losses.__all__,
    *optim.__all__,
]
