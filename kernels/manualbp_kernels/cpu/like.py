"""Constants of the right precision."""

from typing import Any


def like(x: Any, constant: Any) -> Any:
    """``constant`` in the dtype of the scalar ``x``: a bare 0.5 is a float64 and would pull float32 loops up with it."""
    return type(x)(constant)
