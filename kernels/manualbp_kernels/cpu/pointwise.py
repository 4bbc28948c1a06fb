"""From the formula of one element to the loop over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .flat import flat
from .jit import Jit, jit, num_threads, prange

PARALLEL_PASS = 1 << 16  # elements of a pass over memory that pay for waking another thread

LOOP = """
def part({arguments}, begin, end):
    {arrays} = {slices}
    for index in range(out.size):
        out[index] = f({elements})

def shared({arguments}):
    threads = num_threads()
    for thread in prange(threads):
        part({arguments}, thread * out.size // threads, (thread + 1) * out.size // threads)

def loop({arguments}):
    {arrays} = {flattened}
    if out.size < PARALLEL_PASS or num_threads() == 1:
        part({arguments}, 0, out.size)
    else:
        shared({arguments})
"""


def pointwise(scalar: Callable[..., Any], arrays: int, name: str) -> Jit:
    """The compiled loop ``out[i] = scalar(a[i], b[i], …, *constants)`` over contiguous arrays of one shape.

    Of the scalar's parameters the first ``arrays`` are elements, the rest constants.
    """
    code = scalar.__code__
    names = code.co_varnames[: code.co_argcount]
    flattened = ("out", *names[:arrays])
    source = LOOP.format(
        arguments=", ".join(("out", *names)),
        elements=", ".join((*(f"{array}[index]" for array in names[:arrays]), *names[arrays:])),
        arrays=", ".join(flattened),
        slices=", ".join(f"{array}[begin:end]" for array in flattened),
        flattened=", ".join(f"flat({array})" for array in flattened),
    )
    space: dict[str, Any] = {
        "__name__": scalar.__module__, "f": jit(scalar, name=f"{name}.scalar"), "PARALLEL_PASS": PARALLEL_PASS,
        "num_threads": num_threads, "prange": prange, "flat": flat,
    }  # fmt: skip
    exec(source, space)
    space["part"] = jit(space["part"], name=f"{name}.part")
    space["shared"] = jit(space["shared"], name=f"{name}.shared", parallel=True)
    loop: Jit = jit(space["loop"], name=name)
    return loop


@jit(reorder=True)
def sum_of(row):
    """Σ_k row[k], in the dtype of the row."""
    t = row.dtype.type(0)
    for k in range(row.size):
        t += row[k]
    return t


@jit(reorder=True)
def total(a):
    t = 0.0
    for i in range(a.size):
        t += a[i]
    return t


def pointwise_sum(scalar: Callable[..., Any], arrays: int, name: str) -> Jit:
    """As ``pointwise``, 2 or 3 arrays, with the sum of all elements in float64: ``s[0] = Σ out[i]``.

    It is a pass of its own: a loop that also writes becomes vectors or not by how far apart its arrays happen to lie, and
    the order in which they are added, so the bits of the sum, would depend on it.
    """
    f = jit(scalar, name=f"{name}.scalar")

    def loop_2(out, s, a, b, *constants):  # type: ignore[no-untyped-def]
        out, a, b = flat(out), flat(a), flat(b)
        for i in range(out.size):
            out[i] = f(a[i], b[i], *constants)
        s[0] = total(out)

    def loop_3(out, s, a, b, c, *constants):  # type: ignore[no-untyped-def]
        out, a, b, c = flat(out), flat(a), flat(b), flat(c)
        for i in range(out.size):
            out[i] = f(a[i], b[i], c[i], *constants)
        s[0] = total(out)

    loop: Jit = jit((loop_2, loop_3)[arrays - 2], name=name)
    return loop
