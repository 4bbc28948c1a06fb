"""Softmax, LogSoftmax: overflow, shifts, every axis."""

import numpy as np
import pytest
from tolerances import assert_close

import manualbp as mb

backends = pytest.mark.parametrize("backend", ["fast", "reference"])


@backends
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits_do_not_overflow(backend, dtype):
    x = np.array([[1e4, 1e4], [-1e4, 1e4], [-1e30, -1e30]], dtype)
    with mb.backend(backend):
        np.testing.assert_allclose(mb.Softmax()(x), [[0.5, 0.5], [0, 1], [0.5, 0.5]])
        log2 = -np.log(2)
        np.testing.assert_allclose(mb.LogSoftmax()(x), [[log2, log2], [-2e4, 0], [log2, log2]], rtol=1e-6)


@backends
def test_a_class_that_is_excluded(backend):
    """−∞ has probability 0, and hands 0 back."""
    with mb.backend(backend):
        layer = mb.Softmax()
        np.testing.assert_array_equal(layer(np.array([[0, -np.inf, 0]])), [[0.5, 0, 0.5]])
        np.testing.assert_array_equal(layer.backward(np.array([[1.0, 5.0, -1.0]])), [[0.5, 0, -0.5]])
        assert mb.LogSoftmax()(np.array([[0, -np.inf]])).tolist() == [[0, -np.inf]]


@backends
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_every_axis(dim, backend):
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    with mb.backend(backend):
        p, logp = mb.Softmax(dim)(x), mb.LogSoftmax(dim)(x)
    np.testing.assert_allclose(p.sum(axis=dim), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(logp), p, rtol=1e-14)
    np.testing.assert_allclose(p, np.exp(x) / np.exp(x).sum(axis=dim, keepdims=True), rtol=1e-14)


@pytest.mark.parametrize("kind", [mb.Softmax, mb.LogSoftmax])
def test_a_constant_added_to_all_logits_changes_nothing(kind):
    """So ∂L/∂x sums to 0 in every group."""
    layer = kind()
    x, dy = np.random.default_rng(0).standard_normal((2, 4, 6))
    np.testing.assert_allclose(layer(x + 100.0), kind()(x), atol=1e-13)
    np.testing.assert_allclose(layer.backward(dy).sum(axis=-1), 0, atol=1e-14)


def test_an_axis_that_is_not_there():
    with pytest.raises(ValueError, match=r"Softmax\(dim=2\) expects x of shape \(…\) with an axis 2, got \(2, 3\)"):
        mb.Softmax(2)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="LogSoftmax: dim must be an integer, got 'last'"):
        mb.LogSoftmax("last")


@pytest.mark.parametrize("layer", [mb.Softmax(), mb.LogSoftmax()], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_rows_equal_the_definition_for_any_number_of_threads(layer, dtype):
    """Of 257 numbers, whose ends are no whole vectors; a NaN spoils its own row, and no other."""
    x = np.random.default_rng(0).standard_normal((301, 257)).astype(dtype)
    x[7, 3], x[8] = np.nan, -np.inf
    with mb.backend("reference"), np.errstate(invalid="ignore"):
        expected = layer(x).copy()
    before, results = mb.get_num_threads(), []
    for threads in (1, 2, 3):
        mb.set_num_threads(threads)
        results.append(layer(x).copy())
    mb.set_num_threads(before)
    assert np.isnan(results[0]).any(axis=1).nonzero()[0].tolist() == [7, 8]
    assert_close(results[0], expected, terms=257)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
