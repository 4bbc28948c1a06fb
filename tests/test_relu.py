"""Rectifiers: what happens at the kink, far from it, and to a NaN."""

import numpy as np
import pytest

import manualbp as mb

RECTIFIERS = {mb.ReLU: 0.0, mb.LeakyReLU: 0.01, mb.ELU: 1.0, mb.SELU: 1.0507009873554805 * 1.6732632423543772}


@pytest.mark.parametrize("backend", ["fast", "reference"])
@pytest.mark.parametrize(("kind", "slope"), RECTIFIERS.items())
def test_the_slope_at_zero_is_the_one_from_the_left(kind, slope, backend):
    with mb.backend(backend):
        layer = kind()
        np.testing.assert_array_equal(layer(np.zeros(2)), [0, 0])
        np.testing.assert_allclose(layer.backward(np.ones(2)), [slope] * 2, rtol=1e-15)


@pytest.mark.parametrize("backend", ["fast", "reference"])
@pytest.mark.parametrize("kind", RECTIFIERS)
def test_nan_and_infinity(kind, backend):
    """A NaN stays one; the far ends do not overflow."""
    with mb.backend(backend):
        layer = kind()
        y = layer(np.array([np.nan, np.inf, 1e30, -1e30], np.float32))
        dx = layer.backward(np.ones(4, np.float32))
    assert np.isnan(y[0])
    assert y[1] == np.inf
    assert np.isfinite(y[2:]).all()
    assert np.isfinite(dx[1:]).all()


def test_elu_near_zero_keeps_its_digits():
    """eˣ − 1 by expm1: 1 + 1e-10 − 1 would have lost half of them."""
    np.testing.assert_allclose(mb.ELU()(np.array([-1e-10])), [-1e-10 + 5e-21], rtol=1e-15)


def test_selu_keeps_mean_and_variance():
    x = np.random.default_rng(0).standard_normal(200_000)
    y = mb.SELU()(x)
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.02
