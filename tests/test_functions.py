"""exp, tanh and erf in float32: how far from the truth, over their whole range and at its ends."""

import math

import numpy as np
import pytest

from manualbp_kernels.cpu.functions import erf, exp, tanh
from manualbp_kernels.cpu.jit import jit


@jit
def exp_all(y, x):
    for i in range(x.size):
        y[i] = exp(x[i])


@jit
def tanh_all(y, x):
    for i in range(x.size):
        y[i] = tanh(x[i])


@jit
def erf_all(y, x):
    for i in range(x.size):
        y[i] = erf(x[i], exp(-x[i] * x[i]))


FUNCTIONS = {
    "exp": (exp_all, np.exp, np.linspace(-104, 88.8, 500_001)),
    "tanh": (tanh_all, np.tanh, np.linspace(-12, 12, 500_001)),
    "erf": (erf_all, np.vectorize(math.erf), np.linspace(-5, 5, 500_001)),
}


def apply(function, x):
    y = np.empty_like(x)
    function(y, x)
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_ulp_in_float32(name):
    function, exact, x = FUNCTIONS[name]
    x = x.astype(np.float32)
    with np.errstate(over="ignore"):
        expected = exact(x.astype(np.float64))
        finite = np.isfinite(expected.astype(np.float32))
        spacing = np.spacing(np.abs(expected[finite]).astype(np.float32))
    error = np.abs(apply(function, x)[finite] - expected[finite]) / spacing
    assert error.max() <= 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_librarys_own_in_float64(name):
    function, exact, x = FUNCTIONS[name]
    np.testing.assert_allclose(apply(function, x), exact(x), rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_ends(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0, 1e4, -1e4], dtype)
    np.testing.assert_array_equal(apply(exp_all, x), [np.nan, np.inf, 0, 1, np.inf, 0])
    np.testing.assert_array_equal(apply(tanh_all, x), [np.nan, 1, -1, 0, 1, -1])
    np.testing.assert_array_equal(apply(erf_all, x), [np.nan, 1, -1, 0, 1, -1])
