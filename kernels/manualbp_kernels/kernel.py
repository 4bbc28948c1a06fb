"""Kernel: one name, three implementations that must agree.

The function under ``@kernel`` is the *definition*: NumPy, one line per formula, made to be checked by eye.
``@name.cpu`` adds the loops that Numba compiles for the processor, ``@name.cuda`` those for a GPU. All take the same
arguments in the same order: outputs, inputs, geometry, scalars. All write their outputs in place and return None.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .cpu.jit import Jit, jit
from .cpu.pointwise import pointwise, pointwise_sum

BACKENDS = ("fast", "reference")
KERNELS: dict[str, Kernel] = {}
_backend = "reference" if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") else "fast"  # no JIT, no loops
_only_host = True


class Kernel:
    """A named array operation. Calling it runs the form that fits the place of its first output.

    NumPy arrays run on the processor, any other array on the GPU; under ``backend("reference")`` the definition runs.
    """

    def __new__(cls, *args: Any) -> Kernel:
        """Each kernel has a class of its own, whose ``__call__`` can be the compiled loops themselves; see ``__call__``."""
        return super().__new__(type(cls.__name__, (cls,), {}))

    def __init__(self, definition: Callable[..., None]) -> None:
        self.definition = definition
        self.name = definition.__name__
        self.parameters = tuple(inspect.signature(definition).parameters)
        self.forms: dict[str, Callable[..., None]] = {}
        self.formula: tuple[Callable[..., Any], int, bool] | None = None  # of one element: see ``scalar``
        self.__doc__ = definition.__doc__
        if self.name in KERNELS:
            raise TypeError(f"kernel {self.name} is defined twice")
        KERNELS[self.name] = self

    def __call__(self, *args: Any) -> None:
        """Choose a form and run it.

        Where nothing is left to choose the compiled loops take the place of this method, and a call goes straight to them
        with no Python in between: for small arrays that is a third of its time.
        """
        if not isinstance(args[0], np.ndarray):
            self.form("cuda")(*args)
        elif _backend == "reference":
            self.definition(*args)
        else:
            form = self.form("cpu")
            run = form.dispatcher if isinstance(form, Jit) else form
            if _only_host:
                type(self).__call__ = staticmethod(run)  # type: ignore[method-assign, assignment]
            run(*args)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(self.parameters)}): {' '.join((self.__doc__ or '').split())}"

    def cpu(self, function: Callable[..., None]) -> Jit:
        """Decorator: the loops for the processor, compiled by Numba when first called."""
        form: Jit = function if isinstance(function, Jit) else jit(function, name=self.name)
        self._add("cpu", form)
        return form

    def scalar(self, constants: int = 0, total: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator: the formula of one element, compiled into a loop over all elements for every place.

        It takes the definition's inputs as scalars and returns the element of the output; the last ``constants``
        parameters are the same for all elements. With ``total`` there is a second output, the sum of the first one.
        """
        loop, inputs = (pointwise_sum, self.parameters[2:]) if total else (pointwise, self.parameters[1:])

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            got = tuple(inspect.signature(function).parameters)
            if got != inputs:
                raise TypeError(f"the scalar form of {self.name} takes {got}, its definition {inputs}")
            self.forms["cpu"] = loop(function, len(got) - constants, self.name)
            self.formula = function, len(got) - constants, total
            return function

        return add

    def cuda(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorator: a function that launches ``numba.cuda`` kernels."""
        self._add("cuda", function)
        return function

    def form(self, place: str) -> Callable[..., None]:
        """The implementation for ``place`` ("cpu" or "cuda"); NotImplementedError if there is none."""
        if place == "cuda" and place not in self.forms:
            from .cuda import complete

            complete(self)
        try:
            return self.forms[place]
        except KeyError:
            raise NotImplementedError(f"kernel {self.name} has no implementation for {place}") from None

    def _add(self, place: str, function: Any) -> None:
        got = tuple(inspect.signature(getattr(function, "function", function)).parameters)
        if got != self.parameters:
            raise TypeError(f"the {place} form of {self.name} takes {got}, its definition {self.parameters}")
        self.forms[place] = function

    def _choose_again(self) -> None:
        if "__call__" in vars(type(self)):
            del type(self).__call__


def kernel(definition: Callable[..., None]) -> Kernel:
    """Decorator: make a NumPy function the definition of a new kernel."""
    return Kernel(definition)


def get_backend() -> str:
    """The backend in force: "fast" (compiled) or "reference" (the NumPy definitions)."""
    return _backend


def set_backend(name: str) -> None:
    """Run every kernel on host arrays compiled ("fast") or by its NumPy definition ("reference"), process-wide."""
    global _backend
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    _backend = name
    for each in KERNELS.values():
        each._choose_again()


def look_everywhere() -> None:
    """From now on each call looks where its first output lies. Due before the first array is made on a GPU."""
    global _only_host
    _only_host = False
    for each in KERNELS.values():
        each._choose_again()


@contextmanager
def backend(name: str) -> Iterator[None]:
    """``with backend("reference"): ...`` runs the NumPy definitions inside, and puts back what was there before."""
    before = _backend
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)
