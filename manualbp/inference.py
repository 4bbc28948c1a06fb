"""The forward pass without Python: recorded once for arrays of one shape, then a single call of compiled code."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import empty, ndarray

from manualbp_kernels.cpu.replay import MISFIT, Tape, infer, recording

from .look import CannotRecord, Look, place, plain, same_bits, spoil, unrecordable
from .types import Array, as_array

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
        self._dtype, self._shape, self._kind = self.x.dtype, self.y.shape, self.y.dtype
        held = [(vars(m), name, a) for m in self._look.things for name, a in vars(m).items() if self._look.holds(m, name)]
        self._arrays = [(own, name, a, a.shape) for own, name, a in held if isinstance(a, ndarray)]
        self._settings = [(own, name, value) for own, name, value in held if not isinstance(value, ndarray)]
        self._movable = [(a, place(a)) for _, _, a, _ in self._arrays if a.base is None]
        self._words, self._play, self._turn = self.tape.frame(self.x, self.y), infer.dispatcher, threading.Lock()

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
        if type(x) is not ndarray or x.dtype is not self._dtype or not x.flags.carray:
            x = self._taken(x)
        for own, name, array, shape in self._arrays:
            if own.get(name) is not array or array.shape != shape:
                self._check()
        for own, name, value in self._settings:
            if own.get(name) is not value:
                self._check()
        for array, where in self._movable:
            if place(array) != where:
                self._check()
        y = empty(self._shape, self._kind) if out is None else self._given(out)
        with self._turn:
            status = self._play(self._words, x, y)
        if status:
            raise self._misfit(x, y) if status == MISFIT else self.tape.failure(status)
        return y

    def unchanged(self) -> bool:
        return self._look.change() is None

    def _check(self) -> None:
        if change := self._look.change():
            raise RuntimeError(f"{change}; record it again")

    def _taken(self, x: Any) -> Array:
        array = as_array(x)
        if type(x) is not ndarray or array.dtype != self._dtype:
            raise self._misfit(array)
        return np.array(array, order="C")

    def _given(self, out: Any) -> Array:
        if type(out) is not ndarray or out.dtype != self._kind or not out.flags.carray:
            raise ValueError(f"out must be an array of {self._kind} in one piece, shape {self._shape}")
        return out

    def _misfit(self, x: Array, y: Array | None = None) -> ValueError:
        if x.shape == self.x.shape and x.dtype == self._dtype and y is not None:
            return ValueError(f"out must have shape {self._shape}, got {y.shape}")
        return ValueError(f"expected an array of {self._dtype}, shape {self.x.shape}, got {x.dtype}, {x.shape}")

    def __str__(self) -> str:
        from .profile import listing

        return listing(self)
