"""The forms of the kernels for a GPU, and what they share.

``Kernel.form("cuda")`` imports this when it is first asked for; numba.cuda itself comes with the first device array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .array import DeviceArray
from .device import launches, simulated

if TYPE_CHECKING:
    from ..kernel import Kernel

__all__ = ["DeviceArray", "complete", "launches", "simulated"]


def complete(kernel: Kernel) -> None:
    """Give the kernel its form: made from its formula, or registered by the file of this folder that holds it."""
    from . import vocabulary  # noqa: F401
    from .pointwise import pointwise, pointwise_sum

    if kernel.formula and "cuda" not in kernel.forms:
        scalar, arrays, total = kernel.formula
        kernel.forms["cuda"] = (pointwise_sum if total else pointwise)(scalar, arrays, kernel.name)
