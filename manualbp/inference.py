"""The forward pass without Python: recorded once for arrays of one shape, then a single call of compiled code."""

from __future__ import annotations

import threading
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import empty, ndarray

from manualbp_kernels import get_backend
from manualbp_kernels.cpu.replay import MISFIT, MOVED, Tape, infer, recording

from .layer import Layer
from .look import PASSING, CannotRecord, Look, lasting, plain, same_bits, spoil, unrecordable
from .parameter import Fixed
from .types import FLOATS, Array, Form, as_array

if TYPE_CHECKING:
    from .sequential import Sequential


class Inference:
    """A forward pass without Python: ``y = infer(x)`` for an x of the shape it was recorded with, in evaluation mode.

    The result is a fresh array, or ``out`` if that is given. ValueError for another dtype or shape, RuntimeError if the
    network has changed. Several threads may call it, one after the other gets its turn.
    """

    def __init__(self, net: Sequential, x: Any) -> None:
        if reason := unrecordable(net.modules()):
            raise CannotRecord(reason)
        self.modules = list(net.modules())
        self.x = np.array(plain(x, "x"))
        modes = [(module, module.training) for module in net.modules()]
        net.eval()
        try:
            with recording() as calls:
                self.y = net.forward(self.x)
        finally:
            for module, training in modes:
                module.training = training
        if not self.y.flags.c_contiguous:
            raise CannotRecord("the result does not lie in one piece")
        self._look = Look(net.modules())
        try:
            self.tape = Tape(calls)
        except TypeError as error:
            raise CannotRecord(str(error)) from None
        self._verify()
        held = [(vars(m), name, value) for m in net.modules() for name, value in vars(m).items() if _matters(m, name)]
        words = self.tape.frame(self.x, self.y, [value for _, _, value in held if isinstance(value, ndarray)])
        x, y = self.x, self.y
        self._ready = x.dtype, held, y.shape, y.dtype, threading.Lock(), infer.dispatcher, words

    def _verify(self) -> None:
        """CannotRecord if the tape does not give the same y to the bit, all results overwritten before."""
        expected = self.y.copy()
        spoil(self.tape.calls, (self.x, *self._look.arrays()))
        self.tape.play(1)
        if not same_bits(self.y, expected):
            raise CannotRecord("the forward pass computes something by other means than kernels")

    @property
    def calls(self) -> tuple[Any, ...]:
        return self.tape.calls

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        dtype, held, shape, kind, turn, play, words = self._ready
        if type(x) is not ndarray or x.dtype is not dtype or not x.flags.carray:
            x = self._taken(x)
        for own, name, value in held:
            if own[name] is not value:
                self._check()
        y = empty(shape, kind) if out is None else self._given(out)
        with turn:
            status = play(words, x, y)
        if status:
            raise self._error(status, x, y)
        return y

    def _check(self) -> None:
        if change := self._look.change():
            raise RuntimeError(f"{change}; record it again")

    def _taken(self, x: Any) -> Array:
        array = as_array(x)
        if type(x) is not ndarray or array.dtype != self.x.dtype:
            raise self._misfit(array)
        return np.array(array, order="C")

    def _given(self, out: Any) -> Array:
        if type(out) is not ndarray or out.dtype != self.y.dtype or not out.flags.carray:
            raise ValueError(f"out must be an array of {self.y.dtype} in one piece, shape {self.y.shape}")
        return out

    def _error(self, status: int, x: Array, y: Array) -> Exception:
        if status == MOVED:
            return RuntimeError(f"{self._look.change()}; record it again")
        if status != MISFIT:
            return self.tape.failure(status)
        return self._misfit(x) if x.shape != self.x.shape else ValueError(f"out must have shape {self.y.shape}, got {y.shape}")

    def _misfit(self, x: Array) -> ValueError:
        return ValueError(f"expected an array of {self.x.dtype}, shape {self.x.shape}, got {x.dtype}, {x.shape}")

    def __str__(self) -> str:
        from .profile import listing

        return listing(self)


WORTH = 2**20  # bytes that a pass touches at most for Python's part in it to count
MOST = 8  # forms that are remembered


class Predictor:
    """Predictions of one network. Those for arrays of a shape that comes again are made by a program, where that pays."""

    def __init__(self, net: Sequential) -> None:
        self.net = net
        self._met: set[Form] = set()
        self._programs: dict[Form, Inference | None] = {}  # None: stays with Python

    def __call__(self, x: Array) -> Array | None:
        """The prediction, or None if Python is to make it."""
        if type(x) is not ndarray or x.dtype not in FLOATS:
            return None
        form = x.shape, x.dtype
        if form not in self._met:
            if len(self._met) >= MOST:
                self._met.clear()
                self._programs.clear()
            self._met.add(form)
            return None
        if form not in self._programs:
            self._programs[form] = self._program(x)
        program = self._programs[form]
        if program is None or get_backend() != "fast":
            return None
        try:
            y = program(x)
        except RuntimeError:  # the network has changed
            self._programs.pop(form, None)
            return None
        for module in program.modules:
            module.cache = None
        return y

    def _program(self, x: Array) -> Inference | None:
        try:
            program = Inference(self.net, x)
        except CannotRecord:
            return None
        results = {name for m in program.modules for name in _arrays_of(m) - lasting(m)}  # such as a final state: the user's
        return None if results or sum(program.tape.layout.sizes) > WORTH else program


def _arrays_of(layer: Layer) -> set[str]:
    return {name for name, value in vars(layer).items() if isinstance(value, ndarray) and name[0] != "_"}


def _matters(layer: Layer, name: str) -> bool:
    """Whether the forward pass depends on the attribute and somebody may replace it: not a gradient, nothing that is fixed."""
    kind = type(layer)
    return name in kind.weights or (
        isinstance(vars(layer)[name], (int, float, str, tuple))
        and name[0] != "_"
        and name not in PASSING
        and not isinstance(getattr_static(kind, name, None), Fixed)
    )
