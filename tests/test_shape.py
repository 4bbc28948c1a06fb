"""Flatten, Reshape, LastStep: the same numbers elsewhere."""

import numpy as np
import pytest

import manualbp as mb

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (mb.Flatten(), (2, 12)), (mb.Flatten(0), (24,)), (mb.Flatten(2), (2, 3, 4)), (mb.Flatten(0, 1), (6, 4)),
        (mb.Flatten(1, -2), (2, 3, 4)), (mb.Flatten(-2), (2, 12)), (mb.Reshape(12), (2, 12)), (mb.Reshape(-1), (2, 12)),
        (mb.Reshape(2, -1, 3), (2, 2, 2, 3)), (mb.Reshape((6, 2)), (2, 6, 2)),
    ],
)  # fmt: skip
def test_shapes(layer, shape):
    np.testing.assert_array_equal(layer(X), X.reshape(shape))
    np.testing.assert_array_equal(layer.backward(X.reshape(shape)), X)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Reshape\(5\) expects .* samples that fill \(5,\), got \(2, 3, 4\)"):
        mb.Reshape(5)(X)
    with pytest.raises(ValueError, match=r"Flatten\(.*\) expects .* axes 3 to -1, got \(2, 3, 4\)"):
        mb.Flatten(3)(X)
    with pytest.raises(ValueError, match=r"Flatten\(0, 3\) expects .* axes 0 to 3, got \(2, 3, 4\)"):
        mb.Flatten(0, 3)(X)


@pytest.mark.parametrize("backend", ["fast", "reference"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_last_step(batch_first, backend):
    """The last step is passed on; the others get no gradient."""
    layer = mb.LastStep(batch_first)
    last = (slice(None), -1) if batch_first else (-1,)
    with mb.backend(backend):
        np.testing.assert_array_equal(layer(X), X[last])
        dx = layer.backward(X[last])
    expected = np.zeros_like(X)
    expected[last] = X[last]
    np.testing.assert_array_equal(dx, expected)
