"""Dropout: how many it drops, that backward drops the same, and that a seed fixes the masks."""

import copy

import numpy as np
import pytest

import manualbp as mb

ONES = np.ones((300, 400), np.float32)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_share_and_scale(p):
    """A share p is 0, the rest 1/(1 − p): within five standard deviations of the binomial."""
    y = mb.Dropout(p)(ONES)
    deviation = np.sqrt(p * (1 - p) / y.size)
    assert abs((y == 0).mean() - p) <= 5 * deviation
    if p < 1:
        np.testing.assert_array_equal(y[y != 0], np.float32(1 / (1 - p)))
        assert abs(y.mean() - 1) <= 5 * deviation / (1 - p) + 1e-6


def test_elements_are_independent():
    """Neighbours along both axes are uncorrelated, and so are two masks."""
    layer = mb.Dropout(0.5)
    one, other = layer(ONES) - 1, layer(ONES) - 1
    for a, b in ((one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one, other)):
        assert abs((a * b).mean()) <= 5 / np.sqrt(a.size)


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_backward_uses_the_same_mask(backend):
    with mb.backend(backend):
        layer = mb.Dropout(0.3)
        y = layer(ONES)
        np.testing.assert_array_equal(layer.backward(3 * ONES), 3 * y)


def test_evaluation_passes_everything():
    layer = mb.Dropout(0.5).eval()
    before = layer.counter.copy()
    np.testing.assert_array_equal(layer(ONES), ONES)
    np.testing.assert_array_equal(layer.counter, before)


def test_the_seed_fixes_the_masks():
    """The same seed gives the same masks, in both backends; another seed or layer gives others."""
    mb.manual_seed(1)
    one, sibling = mb.Dropout(), mb.Dropout()
    mb.manual_seed(1)
    other = mb.Dropout()
    mb.manual_seed(2)
    third = mb.Dropout()
    first = one(ONES)
    with mb.backend("reference"):
        np.testing.assert_array_equal(other(ONES), first)
    for different in (sibling, third, one):
        assert (different(ONES) != first).mean() > 0.4
    np.testing.assert_array_equal(one.counter, [other.counter[0], 2 * ONES.size // 4])


def test_a_copy_goes_on_with_the_same_masks():
    layer = mb.Dropout()
    layer(ONES)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(layer(ONES), twin(ONES))


def test_a_dropped_nan_is_not_hidden():
    assert np.isnan(mb.Dropout(1.0)(np.array([np.nan], np.float32)))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match="p must lie between 0 and 1"):
        mb.Dropout(p)
