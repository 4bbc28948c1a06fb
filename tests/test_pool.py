"""MaxPool2d, AvgPool2d, GlobalAvgPool2d: ties, NaN, padding."""

import numpy as np
import pytest

import manualbp as mb

backends = pytest.mark.parametrize("backend", ["fast", "reference"])


def image(*rows):
    return np.array([[rows]], np.float32)


@backends
def test_the_first_of_equals_gets_the_gradient(backend):
    with mb.backend(backend):
        pool = mb.MaxPool2d(2)
        np.testing.assert_array_equal(pool(image([3, 3], [1, 3])), image([3]))
        np.testing.assert_array_equal(pool.backward(image([5])), image([5, 0], [0, 0]))


@backends
def test_a_pixel_that_wins_twice_gets_both_gradients(backend):
    with mb.backend(backend):
        pool = mb.MaxPool2d((1, 2), stride=1)
        pool(image([0, 9, 0]))
        np.testing.assert_array_equal(pool.backward(image([1, 2])), image([0, 3, 0]))


@backends
def test_nan_is_the_largest(backend):
    with mb.backend(backend):
        pool = mb.MaxPool2d(2)
        assert np.isnan(pool(image([np.inf, 1], [np.nan, 2]))).all()
        np.testing.assert_array_equal(pool.backward(image([1])), image([0, 0], [1, 0]))


@backends
def test_padding_never_wins(backend):
    """Not against −1, and not against −∞, whose gradient still goes to a pixel of the image."""
    with mb.backend(backend):
        pool = mb.MaxPool2d(2, padding=1)
        np.testing.assert_array_equal(pool(image([-1, -2], [-3, -4])), image([-1, -2], [-3, -4]))
        pool = mb.MaxPool2d(3, padding=1)
        x = np.full((1, 1, 2, 2), -np.inf, np.float32)
        np.testing.assert_array_equal(pool(x), image([-np.inf]))
        np.testing.assert_array_equal(pool.backward(image([1])), image([1, 0], [0, 0]))


@backends
def test_padding_counts_in_an_average_unless_told_otherwise(backend):
    with mb.backend(backend):
        x = image([4, 4], [4, 4])
        np.testing.assert_array_equal(mb.AvgPool2d(2, padding=1)(x), image([1, 1], [1, 1]))
        pool = mb.AvgPool2d(2, padding=1, count_include_pad=False)
        np.testing.assert_array_equal(pool(x), image([4, 4], [4, 4]))
        np.testing.assert_array_equal(pool.backward(image([1, 2], [3, 4])), image([1, 2], [3, 4]))


@backends
def test_the_last_rows_may_be_seen_by_no_window(backend):
    with mb.backend(backend):
        for pool in (mb.MaxPool2d(2), mb.AvgPool2d(2)):
            y = pool(np.ones((1, 1, 3, 5), np.float32))
            assert y.shape == (1, 1, 1, 2)
            dx = pool.backward(np.ones_like(y))
            assert dx.sum() == 2
            assert not dx[0, 0, 2].any()
            assert not dx[0, 0, :, 4].any()


@backends
def test_global_average(backend):
    with mb.backend(backend):
        pool = mb.GlobalAvgPool2d()
        np.testing.assert_array_equal(pool(image([1, 2, 3, 6])), [[3]])
        np.testing.assert_array_equal(pool.backward([[8.0]]), image([2, 2, 2, 2]))


@pytest.mark.parametrize("pool", [mb.MaxPool2d, mb.AvgPool2d])
def test_more_padding_than_half_a_window(pool):
    with pytest.raises(ValueError, match=rf"{pool.__name__}: padding 2 is more than half of kernel_size 3"):
        pool(3, padding=2)
    with pytest.raises(ValueError, match="kernel_size must be an integer of at least 1"):
        pool(0)
