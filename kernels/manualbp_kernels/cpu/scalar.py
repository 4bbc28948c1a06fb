"""What `like`, `exp`, `tanh` and `erf` mean inside compiled loops. Imported together with Numba, by the first compilation."""

import math

import numpy as np
from numba import types
from numba.extending import overload

from .functions import erf, erf_float32, exp, exp_float32, tanh, tanh_float32
from .like import like


@overload(like)
def _like(x, constant):
    cast = x  # a Numba type, which is also the conversion to it

    def convert(x, constant):
        return cast(constant)

    return convert


@overload(exp)
def _exp(x):
    if x == types.float32:
        return lambda x: exp_float32(x)
    return lambda x: np.exp(x)


@overload(tanh)
def _tanh(x):
    if x == types.float32:
        return lambda x: tanh_float32(x)
    return lambda x: np.tanh(x)


@overload(erf)
def _erf(x, e):
    if x == types.float32:
        return lambda x, e: erf_float32(x, e)
    return lambda x, e: math.erf(x)
