"""The loops under manualbp: a small vocabulary of array kernels, each with a NumPy definition and a compiled form.

They know arrays and nothing of layers. See ``kernel.py`` for the contract.
"""

from .cpu.threads import get_num_threads, set_num_threads
from .kernel import BACKENDS, KERNELS, Kernel, backend, get_backend, kernel, look_everywhere, set_backend

__all__ = [
    "BACKENDS",
    "KERNELS",
    "Kernel",
    "backend",
    "get_backend",
    "get_num_threads",
    "kernel",
    "look_everywhere",
    "set_backend",
    "set_num_threads",
]
