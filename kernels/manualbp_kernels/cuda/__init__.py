"""The forms of the kernels for a GPU, and what they share.

Everything but ``array.py`` is imported when ``Kernel.form("cuda")`` is first asked for, or the first device array made: whether
the simulator is meant is looked up no sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .array import DeviceArray

if TYPE_CHECKING:
    from ..kernel import Kernel

__all__ = ["DeviceArray", "complete"]


def complete(kernel: Kernel) -> None:
    """Give the kernel its form: made from its formula, or registered by the file of this folder that holds it."""
    from . import vocabulary  # noqa: F401
    from .pointwise import pointwise, pointwise_sum

    if kernel.formula and "cuda" not in kernel.forms:
        scalar, arrays, total = kernel.formula
        kernel.forms["cuda"] = (pointwise_sum if total else pointwise)(scalar, arrays, kernel.name)
