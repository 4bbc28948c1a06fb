"""What the names in a formula mean on a GPU: NumPy's scalar functions are the device's own, ``like`` is a cast."""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from ..cpu import functions
from ..cpu.like import like

OWN = ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "floor", "ceil", "fabs")  # in the device's library under math's names


def translate(value: Any) -> Any:
    """What stands on the device for a value of a formula's module; most stand for themselves."""
    if value is np:
        return _numpy()
    if value is like:
        return _like()
    if value is functions.exp:
        return math.exp
    if value is functions.tanh:
        return math.tanh
    if value is functions.erf:
        return _compiled(functions.erf)
    return value


@cache
def _compiled(function: Any) -> Any:
    from .device import DeviceFunction

    return DeviceFunction(function).compiled


@cache
def _numpy() -> ModuleType:
    """NumPy with the device's functions; the host's would be compiled for the host, or not at all."""
    names = {**vars(np), **{name: getattr(math, name) for name in OWN}, "sign": _compiled(sign)}
    device = ModuleType("numpy_on_device")
    device.__dict__.update(names)
    return device


def sign(x):
    """−1, 0 or 1 in x's own type; a NaN stays one."""
    if x > 0:
        return like(x, 1)
    return like(x, -1) if x < 0 else x


@cache
def _like() -> Any:
    """``like(x, constant)``: the constant in the type of x."""
    from .device import intrinsic

    @intrinsic
    def cast(typing: Any, x: Any, constant: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.cast(builder, args[1], signature.args[1], signature.args[0])

        return x(x, constant), emit

    return cast
