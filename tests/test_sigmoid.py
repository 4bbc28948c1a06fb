"""Sigmoid, Tanh, Softplus: tails and symmetries."""

import numpy as np
import pytest

import manualbp as mb

FAR = np.array([-1e30, -800, -100, 100, 800, 1e30])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_tails_do_not_overflow(backend, dtype):
    """Any warning of NumPy would be an error here."""
    with mb.backend(backend):
        for layer, low, high in ((mb.Sigmoid(), 0, 1), (mb.Tanh(), -1, 1)):
            y = layer(FAR.astype(dtype))
            np.testing.assert_allclose(y, [low] * 3 + [high] * 3, atol=1e-40)
            np.testing.assert_allclose(layer.backward(np.ones(6, dtype)), 0, atol=1e-40)
        layer = mb.Softplus()
        np.testing.assert_allclose(layer(FAR.astype(dtype)), np.maximum(FAR, 0).astype(dtype), atol=1e-40)
        np.testing.assert_allclose(layer.backward(np.ones(6, dtype)), [0, 0, 0, 1, 1, 1], atol=1e-40)


def test_small_values_keep_their_digits():
    """σ(−40) = e⁻⁴⁰ to the last digits, and log(1 + e⁻⁴⁰) too."""
    x = np.array([-40.0])
    np.testing.assert_allclose(mb.Sigmoid()(x), np.exp(x), rtol=1e-15)
    np.testing.assert_allclose(mb.Softplus()(x), np.exp(x), rtol=1e-15)


def test_symmetries():
    x = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(mb.Sigmoid()(x) + mb.Sigmoid()(-x), 1, rtol=1e-15)
    np.testing.assert_allclose(mb.Tanh()(x), 2 * mb.Sigmoid()(2 * x) - 1, atol=1e-15)
    np.testing.assert_allclose(mb.Softplus()(x) - mb.Softplus()(-x), x, atol=1e-14)


def test_softplus_is_the_identity_above_its_threshold():
    layer = mb.Softplus(beta=2.0, threshold=1.0)
    x = np.array([0.5, 0.5000001])
    y = layer(x)
    np.testing.assert_allclose(y[0], np.log1p(np.e) / 2)
    assert y[1] == x[1]
    assert layer.backward(np.ones(2))[1] == 1
    with pytest.raises(ValueError, match="beta must not be 0"):
        mb.Softplus(beta=0)
