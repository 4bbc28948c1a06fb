"""What would be launched: the host side of kernels and of whole training steps, run without a GPU.

Device arrays lie in the host's memory and a launch is noted and not made, so that grids, block sizes and argument types are
those of a real GPU and not the simulator's. Nothing is computed: numbers that come out are whatever was in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from manualbp_kernels.cuda import device, vocabulary  # noqa: F401  all files are there before anything is patched
from manualbp_kernels.cuda.array import DeviceArray
from manualbp_kernels.cuda.device import Launch

if device.simulated():
    raise SystemExit("unset NUMBA_ENABLE_CUDASIM: the simulator's tiles are not those of a GPU")


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """``with recorded() as made: ...`` notes the launches inside, and makes none."""
    with (
        patch.object(device, "simulated", lambda: True),  # arrays are the host's
        patch.object(device, "module", lambda: None),
        device.launches(dry=True) as made,
    ):
        device._scratch.cache_clear()
        yield made
        device._scratch.cache_clear()


def on_device(arguments: tuple[Any, ...]) -> list[Any]:
    """The arguments of a kernel with its arrays on the "GPU"."""
    return [DeviceArray(a, None) if isinstance(a, np.ndarray) else a for a in arguments]


def threads(launch: Launch) -> int:
    """Of one block."""
    return int(np.prod(launch.configuration[1]))


def blocks(launch: Launch) -> int:
    return int(np.prod(launch.configuration[0]))
