"""From the formula of one element to the loop over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .jit import Jit, jit


def pointwise(scalar: Callable[..., Any], arrays: int, name: str) -> Jit:
    """The compiled loop ``out[i] = scalar(a[i], b[i], …, *constants)`` over contiguous arrays of one shape.

    ``arrays`` is the number of input arrays, 1 to 3.
    """
    f = jit(scalar, name=f"{name}.scalar")

    def loop_1(out, a, *constants):  # type: ignore[no-untyped-def]
        out, a = out.ravel(), a.ravel()
        for i in range(out.size):
            out[i] = f(a[i], *constants)

    def loop_2(out, a, b, *constants):  # type: ignore[no-untyped-def]
        out, a, b = out.ravel(), a.ravel(), b.ravel()
        for i in range(out.size):
            out[i] = f(a[i], b[i], *constants)

    def loop_3(out, a, b, c, *constants):  # type: ignore[no-untyped-def]
        out, a, b, c = out.ravel(), a.ravel(), b.ravel(), c.ravel()
        for i in range(out.size):
            out[i] = f(a[i], b[i], c[i], *constants)

    loop: Jit = jit((loop_1, loop_2, loop_3)[arrays - 1], name=name)
    return loop


def pointwise_sum(scalar: Callable[..., Any], arrays: int, name: str) -> Jit:
    """As ``pointwise``, 2 or 3 arrays, with the sum of all elements in float64: ``s[0] = Σ out[i]``, in the same pass."""
    f = jit(scalar, name=f"{name}.scalar")

    def loop_2(out, s, a, b, *constants):  # type: ignore[no-untyped-def]
        out, a, b = out.ravel(), a.ravel(), b.ravel()
        t = 0.0
        for i in range(out.size):
            out[i] = f(a[i], b[i], *constants)
            t += out[i]
        s[0] = t

    def loop_3(out, s, a, b, c, *constants):  # type: ignore[no-untyped-def]
        out, a, b, c = out.ravel(), a.ravel(), b.ravel(), c.ravel()
        t = 0.0
        for i in range(out.size):
            out[i] = f(a[i], b[i], c[i], *constants)
            t += out[i]
        s[0] = t

    loop: Jit = jit((loop_2, loop_3)[arrays - 2], name=name, reorder=True)
    return loop
