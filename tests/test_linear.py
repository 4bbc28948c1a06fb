"""Linear: a single sample, several axes, exact numbers."""

import numpy as np
import pytest

import manualbp as mb


def layer(dtype="float32"):
    linear = mb.Linear(2, 3, dtype=dtype)
    linear.W, linear.b = [[1, 2], [3, 4], [5, 6]], [1, 0, -1]
    return linear


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_by_hand(backend):
    with mb.backend(backend):
        linear = layer()
        np.testing.assert_array_equal(linear([[1.0, -1.0], [0.0, 2.0]]), [[0, -1, -2], [5, 8, 11]])
        np.testing.assert_array_equal(linear.backward([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]]), [[11, 14], [2, 2]])
        np.testing.assert_array_equal(linear.dW, [[1, -1], [0, -2], [2, 0]])
        np.testing.assert_array_equal(linear.db, [1, -1, 3])


def test_one_sample_has_the_outer_product_as_gradient():
    linear = layer()
    x, delta = np.array([2, 3], np.float32), np.array([1, -1, 4], np.float32)
    assert linear(x).shape == (3,)
    assert linear.backward(delta).shape == (2,)
    np.testing.assert_array_equal(linear.dW, np.outer(delta, x))


def test_several_leading_axes_are_one_batch():
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    one, other = layer(), layer()
    np.testing.assert_array_equal(one(x).reshape(6, 3), other(x.reshape(6, 2)))
    dy = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    np.testing.assert_array_equal(one.backward(dy).reshape(6, 2), other.backward(dy.reshape(6, 3)))
    np.testing.assert_array_equal(one.dW, other.dW)


def test_weights_are_written_in_place():
    """An optimizer that holds the array sees an assignment; a wrong shape is refused."""
    linear = layer()
    held = linear.parameters()[0].value
    linear.W = np.zeros((3, 2))
    assert linear.W is held
    assert not held.any()
    with pytest.raises(ValueError, match=r"Linear\(2 → 3\).W has shape \(3, 2\) and cannot take shape \(2, 3\)"):
        linear.W = np.zeros((2, 3))


def test_sizes_are_positive():
    with pytest.raises(ValueError, match="Linear: in_features must be an integer of at least 1, got 0"):
        mb.Linear(0, 3)
    with pytest.raises(ValueError, match="Linear: out_features must be an integer of at least 1, got -1"):
        mb.Linear(3, -1)
    for size in (2.5, "3", None, True):
        with pytest.raises(ValueError, match="Linear: in_features must be an integer"):
            mb.Linear(size, 3)


def test_only_real_floats():
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        mb.Linear(1, 1, dtype="float16")
