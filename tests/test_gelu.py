"""SiLU, GELU: tails, and the two forms of GELU."""

import math

import numpy as np
import pytest

import manualbp as mb


def layers():
    return mb.SiLU(), mb.GELU(), mb.GELU("tanh")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_tails(backend, dtype):
    """x on the far right with slope 1, 0 on the far left with slope 0."""
    x = np.array([-1e4, -200, 0, 200, 1e4], dtype)
    with mb.backend(backend):
        for layer in layers():
            np.testing.assert_allclose(layer(x), np.maximum(x, 0), atol=1e-30)
            np.testing.assert_allclose(layer.backward(np.ones_like(x)), [0, 0, 0.5, 1, 1], atol=1e-30)


def test_gelu_by_the_error_function():
    x = np.linspace(-4, 4, 33)
    expected = [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x]
    np.testing.assert_allclose(mb.GELU()(x), expected, rtol=1e-13, atol=1e-16)
    assert 1e-5 < np.abs(mb.GELU("tanh")(x) - expected).max() < 1e-3


def test_what_two_tails_make():
    """x Φ(x) − (−x) Φ(−x) = x, and the same for σ."""
    x = np.linspace(0, 6, 61)
    for layer in layers():
        np.testing.assert_allclose(layer(x) - layer(-x), x, atol=1e-14)


def test_unknown_form():
    with pytest.raises(ValueError, match="'none' or 'tanh', got 'erf'"):
        mb.GELU("erf")
